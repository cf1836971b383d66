package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"github.com/networkservicemesh/sdk/pkg/tools/grpcutils"
)

// listeners are opened before the chains are built: a chain that registers its own URL has to
// know the port behind tcp://127.0.0.1:0.
type listeners struct {
	open []net.Listener
	urls []*url.URL
}

func listen(o *options) (*listeners, error) {
	addresses := o.listenOn
	if len(addresses) == 0 {
		addresses = stringList{"tcp://127.0.0.1:0"}
	}
	l := &listeners{}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("--listen-on: %w", err)
		}
		opened, err := listenOne(u)
		if err != nil {
			return nil, fmt.Errorf("--listen-on %s: %w", address, err)
		}
		l.open = append(l.open, opened)
		l.urls = append(l.urls, grpcutils.AddressToURL(opened.Addr()))
	}
	return l, nil
}

func listenOne(u *url.URL) (net.Listener, error) {
	if u.Scheme != "unix" {
		return net.Listen("tcp", u.Host)
	}
	path := u.Path
	if path == "" {
		path = u.Opaque
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// publicURL is the one others are told: the first over TCP, as it can be reached from elsewhere.
func (l *listeners) publicURL() string {
	for _, u := range l.urls {
		if u.Scheme == "tcp" {
			return u.String()
		}
	}
	return l.urls[0].String()
}

func (l *listeners) strings() []string {
	all := make([]string, 0, len(l.urls))
	for _, u := range l.urls {
		all = append(all, u.String())
	}
	return all
}

// serve starts a server on every listener. The channel yields the first failure to serve.
func (l *listeners) serve(s *security, register func(*grpc.Server)) (*grpc.Server, <-chan error) {
	server := grpc.NewServer(grpc.Creds(s.serving))
	register(server)
	failed := make(chan error, len(l.open))
	for _, opened := range l.open {
		go func() {
			if err := server.Serve(opened); err != nil {
				failed <- err
			}
		}()
	}
	return server, failed
}

// until waits for the signal or for the server to fail.
func until(stop <-chan struct{}, failed <-chan error) error {
	select {
	case <-stop:
		return nil
	case err := <-failed:
		return err
	}
}

// within gives up after the limit even if the call does not: the event queues of the SDK make a
// call wait for the one before it, which may be a repair that never succeeds.
func within(limit time.Duration, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("not finished within %s", limit)
	}
}
