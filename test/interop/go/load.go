package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/networkservicemesh/api/pkg/api/networkservice"

	"github.com/networkservicemesh/sdk/pkg/networkservice/chains/client"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/heal"
	kernelelement "github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/kernel"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/null"
)

// runLoad makes connections through a stock client chain without refresh and measures each step.
func runLoad(ctx context.Context, stop <-chan struct{}, o *options) error {
	if len(o.services) != 1 {
		return fmt.Errorf("--service must be given once")
	}
	if o.connections < 1 || o.concurrency < 1 {
		return fmt.Errorf("--connections and --concurrency must be at least 1")
	}
	s, err := newSecurity(o)
	if err != nil {
		return err
	}
	manager, err := o.connectURL()
	if err != nil {
		return err
	}
	watch := null.NewClient()
	if o.heal {
		watch = heal.NewClient(ctx)
	}
	nsc := client.NewClient(ctx,
		client.WithName(o.name),
		client.WithClientURL(manager),
		client.WithoutRefresh(),
		client.WithDialOptions(s.dialOptions...),
		client.WithDialTimeout(o.dialTimeout),
		client.WithHealClient(watch),
		client.WithAdditionalFunctionality(kernelelement.NewClient(), s.connect()),
	)

	live := make([]*networkservice.Connection, o.connections)
	result := map[string]any{"connections": o.connections, "concurrency": o.concurrency}
	request := func(stepCtx context.Context, i int) error {
		conn := live[i]
		if conn == nil {
			conn = &networkservice.Connection{
				Id:             uuid.NewString(),
				NetworkService: o.services[0],
				Labels:         o.labels,
				Context:        &networkservice.ConnectionContext{},
			}
		}
		made, err := nsc.Request(stepCtx, &networkservice.NetworkServiceRequest{Connection: conn.Clone()})
		if err == nil {
			live[i] = made
		}
		return err
	}

	printReady(nil)
	result["request"] = measure(ctx, o, nil, request)
	established := func(i int) bool { return live[i] != nil }
	if o.refresh {
		result["refresh"] = measure(ctx, o, established, request)
	}
	if o.hold > 0 {
		printLine(map[string]any{"event": "holding"})
		select {
		case <-time.After(o.hold):
		case <-stop:
		}
	}
	if o.close {
		result["close"] = measure(ctx, o, established, func(stepCtx context.Context, i int) error {
			_, err := nsc.Close(stepCtx, live[i])
			return err
		})
	}
	result["event"] = "result"
	printLine(result)
	return nil
}

type figures struct {
	Count        int      `json:"count"`
	P50Ms        float64  `json:"p50Ms"`
	P99Ms        float64  `json:"p99Ms"`
	MaxMs        float64  `json:"maxMs"`
	RatePerS     float64  `json:"ratePerSecond"`
	Errors       int      `json:"errors"`
	ErrorSamples []string `json:"errorSamples,omitempty"`
}

func measure(ctx context.Context, o *options, eligible func(int) bool, step func(context.Context, int) error) figures {
	var (
		following atomic.Int64
		mu        sync.Mutex
		group     sync.WaitGroup
		took      []time.Duration
		result    figures
	)
	started := time.Now()
	for range o.concurrency {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(following.Add(1)) - 1; i < o.connections; i = int(following.Add(1)) - 1 {
				if eligible != nil && !eligible(i) {
					continue
				}
				stepCtx, cancel := context.WithTimeout(ctx, o.requestTimeout)
				before := time.Now()
				err := step(stepCtx, i)
				duration := time.Since(before)
				cancel()
				mu.Lock()
				if err == nil {
					took = append(took, duration)
				} else {
					result.Errors++
					if len(result.ErrorSamples) < 3 {
						result.ErrorSamples = append(result.ErrorSamples, err.Error())
					}
				}
				mu.Unlock()
			}
		}()
	}
	group.Wait()
	elapsed := time.Since(started)
	slices.Sort(took)
	result.Count = len(took)
	if len(took) > 0 {
		result.P50Ms = milliseconds(took[len(took)/2])
		result.P99Ms = milliseconds(took[len(took)*99/100])
		result.MaxMs = milliseconds(took[len(took)-1])
		result.RatePerS = float64(len(took)) / elapsed.Seconds()
	}
	return result
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
