package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"

	"github.com/golang/protobuf/ptypes/empty"
	"github.com/networkservicemesh/api/pkg/api/networkservice"
	"github.com/networkservicemesh/api/pkg/api/networkservice/mechanisms/kernel"
	"google.golang.org/grpc"

	"github.com/networkservicemesh/sdk/pkg/networkservice/chains/client"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/heal"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms"
	kernelelement "github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/kernel"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/sendfd"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/null"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/retry"
	"github.com/networkservicemesh/sdk/pkg/networkservice/core/next"
	"github.com/networkservicemesh/sdk/pkg/tools/nsurl"
)

func runClient(ctx context.Context, stop <-chan struct{}, o *options) error {
	if len(o.requests) == 0 {
		return fmt.Errorf("--request is missing")
	}
	s, err := newSecurity(o)
	if err != nil {
		return err
	}
	manager, err := o.connectURL()
	if err != nil {
		return err
	}
	observer := &clientObserver{known: map[string]bool{}, healing: map[string]bool{}}
	nsc := retry.NewClient(client.NewClient(ctx,
		client.WithName(o.name),
		client.WithClientURL(manager),
		client.WithDialOptions(s.dialOptions...),
		client.WithDialTimeout(o.dialTimeout),
		client.WithHealClient(heal.NewClient(ctx)),
		client.WithAdditionalFunctionality(
			observer,
			mechanisms.NewClient(map[string]networkservice.NetworkServiceClient{
				kernel.MECHANISM: kernelelement.NewClient(),
			}),
			next.NewNetworkServiceClient(o.passNamespace(manager), s.connect()),
		),
	), retry.WithTryTimeout(o.requestTimeout))

	printReady(nil)
	var established []*networkservice.Connection
	for i, text := range o.requests {
		request, err := requestOf(text, fmt.Sprintf("%s-%d", o.name, i))
		if err != nil {
			return err
		}
		requestCtx, cancel := context.WithTimeout(ctx, o.requestTimeout)
		go func() {
			select {
			case <-stop:
				cancel()
			case <-requestCtx.Done():
			}
		}()
		conn, err := nsc.Request(requestCtx, request)
		cancel()
		if err != nil {
			// The retry only tells that its time is over.
			err = errors.Join(observer.lastError(), err)
			printEvent("failed", request.GetConnection(), err)
			return fmt.Errorf("--request %s: %w", text, err)
		}
		established = append(established, conn)
	}
	<-stop

	for _, conn := range established {
		err := within(o.requestTimeout, func(ctx context.Context) error {
			_, err := nsc.Close(ctx, conn)
			return err
		})
		if err != nil {
			printEvent("failed", conn, err)
			return err
		}
		printEvent("closed", conn, nil)
	}
	return nil
}

// passNamespace sends the client's network namespace as a descriptor. That needs a unix socket. Like connect(), it
// must not be wrapped, or its call options get lost.
func (o *options) passNamespace(manager *url.URL) networkservice.NetworkServiceClient {
	if manager.Scheme != "unix" || o.keepPath {
		return null.NewClient()
	}
	return sendfd.NewClient()
}

func requestOf(text, id string) (*networkservice.NetworkServiceRequest, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--request: %w", err)
	}
	wanted := (*nsurl.NSURL)(parsed)
	return &networkservice.NetworkServiceRequest{
		Connection: &networkservice.Connection{
			Id:             id,
			NetworkService: wanted.NetworkService(),
			Labels:         wanted.Labels(),
			Context:        &networkservice.ConnectionContext{},
		},
		MechanismPreferences: []*networkservice.Mechanism{wanted.Mechanism()},
	}, nil
}

// clientObserver tells the life of each connection: Requests after the first are refreshes or
// repairs, and a repair says so in the state that begin gives it.
type clientObserver struct {
	mu      sync.Mutex
	known   map[string]bool
	healing map[string]bool
	failure error
}

func (c *clientObserver) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

func (c *clientObserver) Request(ctx context.Context, request *networkservice.NetworkServiceRequest, opts ...grpc.CallOption) (*networkservice.Connection, error) {
	id := request.GetConnection().GetId()
	repair := request.GetConnection().GetState() == networkservice.State_RESELECT_REQUESTED
	c.mu.Lock()
	if repair && !c.healing[id] {
		printEvent("healing", request.GetConnection(), nil)
	}
	c.healing[id] = c.healing[id] || repair
	c.mu.Unlock()

	conn, err := next.Client(ctx).Request(ctx, request, opts...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gopeer: a try failed:", err)
		if ctx.Err() == nil {
			c.failure = err
		}
		return nil, err
	}
	event := "established"
	if c.known[id] {
		event = "updated"
	}
	c.known[id], c.healing[id] = true, false
	printEvent(event, conn, nil)
	return conn, nil
}

func (c *clientObserver) Close(ctx context.Context, conn *networkservice.Connection, opts ...grpc.CallOption) (*empty.Empty, error) {
	return next.Client(ctx).Close(ctx, conn, opts...)
}
