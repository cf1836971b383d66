package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/networkservicemesh/sdk/pkg/networkservice/chains/nsmgr"
)

func runManager(ctx context.Context, stop <-chan struct{}, o *options) error {
	s, err := newSecurity(o)
	if err != nil {
		return err
	}
	l, err := listen(o)
	if err != nil {
		return err
	}
	options := []nsmgr.Option{
		nsmgr.WithName(o.name),
		nsmgr.WithURL(l.publicURL()),
		nsmgr.WithDialOptions(s.dialOptions...),
		nsmgr.WithDialTimeout(o.dialTimeout),
		nsmgr.WithAuthorizeServer(s.authorizeServer()),
		nsmgr.WithAuthorizeNSRegistryServer(s.authorizeServiceServer()),
		nsmgr.WithAuthorizeNSRegistryClient(s.authorizeServiceClient()),
		nsmgr.WithAuthorizeNSERegistryServer(s.authorizeEndpointServer()),
		nsmgr.WithAuthorizeNSERegistryClient(s.authorizeEndpointClient()),
	}
	if o.registry != "" {
		registry, err := url.Parse(o.registry)
		if err != nil {
			return fmt.Errorf("--registry: %w", err)
		}
		options = append(options, nsmgr.WithRegistry(registry))
	}
	server, failed := l.serve(s, nsmgr.NewServer(ctx, s.tokens, options...).Register)
	defer server.Stop()
	printReady(l.strings())
	return until(stop, failed)
}
