package main

import (
	"context"

	"github.com/networkservicemesh/sdk/pkg/registry/chains/memory"
)

func runRegistry(ctx context.Context, stop <-chan struct{}, o *options) error {
	s, err := newSecurity(o)
	if err != nil {
		return err
	}
	l, err := listen(o)
	if err != nil {
		return err
	}
	registry := memory.NewServer(ctx, s.tokens,
		memory.WithAuthorizeNSRegistryServer(s.authorizeServiceServer()),
		memory.WithAuthorizeNSERegistryServer(s.authorizeEndpointServer()),
		memory.WithDialOptions(s.dialOptions...),
	)
	server, failed := l.serve(s, registry.Register)
	defer server.Stop()
	printReady(l.strings())
	return until(stop, failed)
}
