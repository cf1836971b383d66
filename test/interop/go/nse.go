package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/golang/protobuf/ptypes/empty"
	"github.com/networkservicemesh/api/pkg/api/networkservice"
	"github.com/networkservicemesh/api/pkg/api/networkservice/mechanisms/kernel"
	"github.com/networkservicemesh/api/pkg/api/networkservice/mechanisms/noop"
	registryapi "github.com/networkservicemesh/api/pkg/api/registry"
	"google.golang.org/grpc/codes"

	"github.com/networkservicemesh/sdk/pkg/networkservice/chains/endpoint"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms"
	kernelelement "github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/kernel"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/sendfd"
	nullelement "github.com/networkservicemesh/sdk/pkg/networkservice/common/null"
	"github.com/networkservicemesh/sdk/pkg/networkservice/core/next"
	"github.com/networkservicemesh/sdk/pkg/networkservice/ipam/groupipam"
	registryclient "github.com/networkservicemesh/sdk/pkg/registry/chains/client"
	registrynull "github.com/networkservicemesh/sdk/pkg/registry/common/null"
	"github.com/networkservicemesh/sdk/pkg/tools/grpcutils"
	"github.com/networkservicemesh/sdk/pkg/tools/log"
)

func runEndpoint(ctx context.Context, stop <-chan struct{}, o *options) error {
	if len(o.services) == 0 {
		return fmt.Errorf("--service is missing")
	}
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
	responder := endpoint.NewServer(ctx, s.tokens,
		endpoint.WithName(o.name),
		endpoint.WithAuthorizeServer(s.authorizeServer()),
		endpoint.WithAdditionalFunctionality(
			&endpointObserver{},
			groupipam.NewServer(o.cidr),
			mechanisms.NewServer(map[string]networkservice.NetworkServiceServer{
				kernel.MECHANISM: kernelelement.NewServer(),
				noop.MECHANISM:   nullelement.NewServer(),
			}),
			o.answerNamespace(),
		),
	)
	server, failed := l.serve(s, responder.Register)
	defer server.Stop()

	// One try at a time: the stock retry would repeat a refusal for ever, and a service that
	// belongs to another identity is no reason not to serve it.
	services := serviceRegistry(ctx, s, manager,
		registryclient.WithNSRetryClient(registrynull.NewNetworkServiceRegistryClient()))
	for _, service := range o.services {
		if err := registerService(ctx, services, service, o.payload, o.requestTimeout); err != nil {
			return err
		}
	}

	offered := map[string]*registryapi.NetworkServiceLabels{}
	for _, service := range o.services {
		offered[service] = &registryapi.NetworkServiceLabels{Labels: o.labels}
	}
	registered, err := register(ctx, s, manager, &registryapi.NetworkServiceEndpoint{
		Name:                 o.name,
		NetworkServiceNames:  o.services,
		NetworkServiceLabels: offered,
		Url:                  l.publicURL(),
	}, o.requestTimeout)
	if err != nil {
		return err
	}
	printReady(l.strings())
	defer registered.end()
	return until(stop, failed)
}

// answerNamespace sends the endpoint's network namespace as a descriptor, on unix sockets.
func (o *options) answerNamespace() networkservice.NetworkServiceServer {
	if o.keepPath {
		return nullelement.NewServer()
	}
	return sendfd.NewServer()
}

func registerService(ctx context.Context, client registryapi.NetworkServiceRegistryClient, name, payload string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		_, err := client.Register(ctx, &registryapi.NetworkService{Name: name, Payload: payload})
		if err == nil {
			return nil
		}
		if grpcutils.UnwrapCode(err) == codes.PermissionDenied {
			log.FromContext(ctx).Warnf("network service %s belongs to another identity: %v", name, err)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("network service %s: %w", name, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// endpointObserver tells what reached the endpoint: {"event":"request"} also for a refresh.
type endpointObserver struct{}

func (*endpointObserver) Request(ctx context.Context, request *networkservice.NetworkServiceRequest) (*networkservice.Connection, error) {
	conn, err := next.Server(ctx).Request(ctx, request)
	if err != nil {
		printEvent("refused", request.GetConnection(), err)
		return nil, err
	}
	printEvent("request", conn, nil)
	return conn, nil
}

func (*endpointObserver) Close(ctx context.Context, conn *networkservice.Connection) (*empty.Empty, error) {
	result, err := next.Server(ctx).Close(ctx, conn)
	printEvent("close", conn, err)
	return result, err
}

// prefixGroups gives each connection one address pair from every group.
type prefixGroups [][]*net.IPNet

func (g *prefixGroups) String() string { return fmt.Sprint([][]*net.IPNet(*g)) }

func (g *prefixGroups) Set(value string) error {
	for value != "" {
		var group string
		if strings.HasPrefix(value, "[") {
			inside, rest, closed := strings.Cut(value[1:], "]")
			if !closed {
				return fmt.Errorf("%q lacks a ]", value)
			}
			group, value = inside, strings.TrimPrefix(rest, ",")
		} else {
			group, value, _ = strings.Cut(value, ",")
		}
		var prefixes []*net.IPNet
		for _, text := range strings.Split(group, ",") {
			_, prefix, err := net.ParseCIDR(strings.TrimSpace(text))
			if err != nil {
				return err
			}
			prefixes = append(prefixes, prefix)
		}
		*g = append(*g, prefixes)
	}
	return nil
}
