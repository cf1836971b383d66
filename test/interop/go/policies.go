package main

import (
	"github.com/networkservicemesh/api/pkg/api/networkservice"
	registryapi "github.com/networkservicemesh/api/pkg/api/registry"

	"github.com/networkservicemesh/sdk/pkg/networkservice/common/authorize"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/connect"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/trimpath"
	"github.com/networkservicemesh/sdk/pkg/networkservice/core/next"
	registryauthorize "github.com/networkservicemesh/sdk/pkg/registry/common/authorize"
)

// The masks that the deployed Go managers and registries have as their default.
var (
	registryServerMasks = []string{"etc/nsm/opa/common/.*.rego", "etc/nsm/opa/registry/.*.rego", "etc/nsm/opa/server/.*.rego"}
	registryClientMasks = []string{"etc/nsm/opa/common/.*.rego", "etc/nsm/opa/registry/.*.rego", "etc/nsm/opa/client/.*.rego"}
)

func (s *security) authorizeServer() networkservice.NetworkServiceServer {
	if !s.policies {
		return authorize.NewServer(authorize.Any())
	}
	return authorize.NewServer()
}

// connect ends a client chain with the call itself, checked by the client policies. The stock place
// for the check is an option of the client chain, but below log level info the wrapper around each
// element of a chain drops call options, and with them the certificate the check compares tokens
// with. Elements joined by next are not wrapped.
func (s *security) connect() networkservice.NetworkServiceClient {
	check := authorize.NewClient(authorize.Any())
	if s.policies {
		check = authorize.NewClient()
	}
	return next.NewNetworkServiceClient(check, trimpath.NewClient(), connect.NewClient())
}

func (s *security) registryPolicies(masks []string) registryauthorize.Option {
	if !s.policies {
		return registryauthorize.Any()
	}
	return registryauthorize.WithPolicies(masks...)
}

func (s *security) authorizeServiceServer() registryapi.NetworkServiceRegistryServer {
	return registryauthorize.NewNetworkServiceRegistryServer(s.registryPolicies(registryServerMasks))
}

func (s *security) authorizeServiceClient() registryapi.NetworkServiceRegistryClient {
	return registryauthorize.NewNetworkServiceRegistryClient(s.registryPolicies(registryClientMasks))
}

func (s *security) authorizeEndpointServer() registryapi.NetworkServiceEndpointRegistryServer {
	return registryauthorize.NewNetworkServiceEndpointRegistryServer(s.registryPolicies(registryServerMasks))
}

func (s *security) authorizeEndpointClient() registryapi.NetworkServiceEndpointRegistryClient {
	return registryauthorize.NewNetworkServiceEndpointRegistryClient(s.registryPolicies(registryClientMasks))
}
