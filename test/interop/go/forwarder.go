package main

import (
	"context"

	"github.com/networkservicemesh/api/pkg/api/networkservice"
	"github.com/networkservicemesh/api/pkg/api/networkservice/mechanisms/kernel"
	registryapi "github.com/networkservicemesh/api/pkg/api/registry"

	"github.com/networkservicemesh/sdk/pkg/networkservice/chains/client"
	"github.com/networkservicemesh/sdk/pkg/networkservice/chains/endpoint"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/connect"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/discover"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms"
	kernelelement "github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/kernel"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanismtranslation"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/null"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/roundrobin"
)

// runForwarder negotiates KERNEL on both sides and wires nothing up.
func runForwarder(ctx context.Context, stop <-chan struct{}, o *options) error {
	s, err := newSecurity(o)
	if err != nil {
		return err
	}
	manager, err := o.connectURL()
	if err != nil {
		return err
	}
	l, err := listen(o)
	if err != nil {
		return err
	}
	crossConnect := endpoint.NewServer(ctx, s.tokens,
		endpoint.WithName(o.name),
		endpoint.WithAuthorizeServer(s.authorizeServer()),
		endpoint.WithAdditionalFunctionality(
			discover.NewServer(serviceRegistry(ctx, s, manager), endpointRegistry(ctx, s, manager)),
			roundrobin.NewServer(),
			mechanisms.NewServer(map[string]networkservice.NetworkServiceServer{
				kernel.MECHANISM: null.NewServer(),
			}),
			connect.NewServer(client.NewClient(ctx,
				client.WithName(o.name),
				client.WithoutRefresh(),
				client.WithDialOptions(s.dialOptions...),
				client.WithDialTimeout(o.dialTimeout),
				client.WithAdditionalFunctionality(
					mechanismtranslation.NewClient(),
					kernelelement.NewClient(),
				),
			)),
		),
	)
	server, failed := l.serve(s, crossConnect.Register)
	defer server.Stop()

	if len(o.labels) == 0 {
		o.labels["p2p"] = "true"
	}
	registered, err := register(ctx, s, manager, &registryapi.NetworkServiceEndpoint{
		Name:                o.name,
		NetworkServiceNames: []string{"forwarder"},
		NetworkServiceLabels: map[string]*registryapi.NetworkServiceLabels{
			"forwarder": {Labels: o.labels},
		},
		Url: l.publicURL(),
	}, o.requestTimeout)
	if err != nil {
		return err
	}
	printReady(l.strings())
	defer registered.end()
	return until(stop, failed)
}
