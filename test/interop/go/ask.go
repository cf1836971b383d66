package main

import (
	"context"
	"errors"
	"io"

	"github.com/networkservicemesh/api/pkg/api/networkservice"
	registryapi "github.com/networkservicemesh/api/pkg/api/registry"
	"google.golang.org/grpc"

	"github.com/networkservicemesh/sdk/pkg/tools/grpcutils"
)

func connectionTo(o *options) (*grpc.ClientConn, error) {
	s, err := newSecurity(o)
	if err != nil {
		return nil, err
	}
	target, err := o.connectURL()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(grpcutils.URLToTarget(target), s.dialOptions...)
}

// runMonitor prints every connection event of one peer until the stream ends.
func runMonitor(ctx context.Context, stop <-chan struct{}, o *options) error {
	cc, err := connectionTo(o)
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	stream, err := networkservice.NewMonitorConnectionClient(cc).MonitorConnections(ctx,
		&networkservice.MonitorScopeSelector{NetworkServices: o.services})
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		event, err := stream.Recv()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			printLine(map[string]any{"event": "ended", "error": err.Error()})
			return err
		}
		if first {
			printReady(nil)
		}
		connections := map[string]any{}
		for id, conn := range event.GetConnections() {
			connections[id] = asJSON(conn)
		}
		printLine(map[string]any{"event": event.GetType().String(), "connections": connections})
	}
}

// runFind prints the endpoints of the given services, or all of them, and ends.
func runFind(ctx context.Context, _ <-chan struct{}, o *options) error {
	cc, err := connectionTo(o)
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }()
	stream, err := registryapi.NewNetworkServiceEndpointRegistryClient(cc).Find(ctx,
		&registryapi.NetworkServiceEndpointQuery{
			NetworkServiceEndpoint: &registryapi.NetworkServiceEndpoint{NetworkServiceNames: o.services},
		})
	if err != nil {
		return err
	}
	printReady(nil)
	for {
		found, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		printLine(map[string]any{"event": "endpoint", "endpoint": asJSON(found.GetNetworkServiceEndpoint())})
	}
}
