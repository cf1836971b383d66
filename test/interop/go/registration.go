package main

import (
	"context"
	"net/url"
	"time"

	registryapi "github.com/networkservicemesh/api/pkg/api/registry"

	registryclient "github.com/networkservicemesh/sdk/pkg/registry/chains/client"
)

// endpointRegistry registers with a manager, keeps the registration fresh and makes it anew when
// the manager was away.
func endpointRegistry(ctx context.Context, s *security, manager *url.URL) registryapi.NetworkServiceEndpointRegistryClient {
	return registryclient.NewNetworkServiceEndpointRegistryClient(ctx,
		registryclient.WithClientURL(manager),
		registryclient.WithDialOptions(s.dialOptions...),
		registryclient.WithAuthorizeNSERegistryClient(s.authorizeEndpointClient()),
	)
}

func serviceRegistry(ctx context.Context, s *security, manager *url.URL,
	more ...registryclient.Option) registryapi.NetworkServiceRegistryClient {
	return registryclient.NewNetworkServiceRegistryClient(ctx, append([]registryclient.Option{
		registryclient.WithClientURL(manager),
		registryclient.WithDialOptions(s.dialOptions...),
		registryclient.WithAuthorizeNSRegistryClient(s.authorizeServiceClient()),
	}, more...)...)
}

func unregister(client registryapi.NetworkServiceEndpointRegistryClient, endpoint *registryapi.NetworkServiceEndpoint) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := client.Unregister(ctx, endpoint)
	return err
}
