package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/golang/protobuf/ptypes/empty"
	registryapi "github.com/networkservicemesh/api/pkg/api/registry"
	"google.golang.org/grpc"

	registryclient "github.com/networkservicemesh/sdk/pkg/registry/chains/client"
	"github.com/networkservicemesh/sdk/pkg/registry/common/recvfd"
	"github.com/networkservicemesh/sdk/pkg/registry/common/sendfd"
	"github.com/networkservicemesh/sdk/pkg/registry/core/next"
)

// endpointRegistry registers with a manager, keeps the registration fresh and makes it anew when
// the manager was away. Over a unix socket, the sockets of endpoints travel as descriptors.
func endpointRegistry(ctx context.Context, s *security, manager *url.URL,
	more ...registryapi.NetworkServiceEndpointRegistryClient) registryapi.NetworkServiceEndpointRegistryClient {
	if manager.Scheme == "unix" {
		more = append(more, recvfd.NewNetworkServiceEndpointRegistryClient(), sendfd.NewNetworkServiceEndpointRegistryClient())
	}
	return registryclient.NewNetworkServiceEndpointRegistryClient(ctx,
		registryclient.WithClientURL(manager),
		registryclient.WithDialOptions(s.dialOptions...),
		registryclient.WithAuthorizeNSERegistryClient(s.authorizeEndpointClient()),
		registryclient.WithNSEAdditionalFunctionality(more...),
	)
}

// registration is an endpoint's entry at its manager.
type registration struct {
	client registryapi.NetworkServiceEndpointRegistryClient
	entry  *registryapi.NetworkServiceEndpoint
}

// register gives up after the limit. The call itself has no deadline: whatever the chain repeats
// later would inherit it.
func register(ctx context.Context, s *security, manager *url.URL, entry *registryapi.NetworkServiceEndpoint,
	limit time.Duration) (*registration, error) {
	refusals := &refusalObserver{}
	client := endpointRegistry(ctx, s, manager, refusals)
	registered := make(chan *registration, 1)
	failed := make(chan error, 1)
	go func() {
		made, err := client.Register(ctx, entry)
		if err != nil {
			failed <- err
			return
		}
		registered <- &registration{client, made}
	}()
	select {
	case r := <-registered:
		return r, nil
	case err := <-failed:
		return nil, err
	case <-time.After(limit):
		return nil, fmt.Errorf("not registered within %s: %w", limit, refusals.last())
	}
}

// end unregisters if it can: without a manager the entry expires.
func (r *registration) end() {
	err := within(2*time.Second, func(ctx context.Context) error {
		_, err := r.client.Unregister(ctx, r.entry)
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "gopeer: could not unregister:", err)
	}
}

// refusalObserver keeps what the retry in front of it only logs.
type refusalObserver struct {
	mu      sync.Mutex
	refusal error
}

func (o *refusalObserver) last() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.refusal
}

func (o *refusalObserver) Register(ctx context.Context, entry *registryapi.NetworkServiceEndpoint, opts ...grpc.CallOption) (*registryapi.NetworkServiceEndpoint, error) {
	made, err := next.NetworkServiceEndpointRegistryClient(ctx).Register(ctx, entry, opts...)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusal = err
	return made, err
}

func (*refusalObserver) Find(ctx context.Context, query *registryapi.NetworkServiceEndpointQuery, opts ...grpc.CallOption) (registryapi.NetworkServiceEndpointRegistry_FindClient, error) {
	return next.NetworkServiceEndpointRegistryClient(ctx).Find(ctx, query, opts...)
}

func (*refusalObserver) Unregister(ctx context.Context, entry *registryapi.NetworkServiceEndpoint, opts ...grpc.CallOption) (*empty.Empty, error) {
	return next.NetworkServiceEndpointRegistryClient(ctx).Unregister(ctx, entry, opts...)
}

func serviceRegistry(ctx context.Context, s *security, manager *url.URL,
	more ...registryclient.Option) registryapi.NetworkServiceRegistryClient {
	return registryclient.NewNetworkServiceRegistryClient(ctx, append([]registryclient.Option{
		registryclient.WithClientURL(manager),
		registryclient.WithDialOptions(s.dialOptions...),
		registryclient.WithAuthorizeNSRegistryClient(s.authorizeServiceClient()),
	}, more...)...)
}
