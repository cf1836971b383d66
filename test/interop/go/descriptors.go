package main

import (
	"context"
	"fmt"
	"net/url"
	"os"

	"github.com/golang/protobuf/ptypes/empty"
	"github.com/networkservicemesh/api/pkg/api/networkservice"
	"github.com/networkservicemesh/api/pkg/api/networkservice/mechanisms/cls"
	"github.com/networkservicemesh/api/pkg/api/networkservice/mechanisms/common"
	"github.com/networkservicemesh/api/pkg/api/networkservice/mechanisms/kernel"
	"google.golang.org/grpc"

	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/recvfd"
	"github.com/networkservicemesh/sdk/pkg/networkservice/common/mechanisms/sendfd"
	"github.com/networkservicemesh/sdk/pkg/networkservice/core/chain"
	"github.com/networkservicemesh/sdk/pkg/networkservice/core/next"
	"github.com/networkservicemesh/sdk/pkg/networkservice/utils/metadata"
)

// readFile says in the label "text" what is in the file that the request names, and answers with a file of
// its own, if it has one.
type readFile struct{ answer string }

func (r *readFile) Request(ctx context.Context, request *networkservice.NetworkServiceRequest) (*networkservice.Connection, error) {
	conn, err := next.Server(ctx).Request(ctx, request)
	if err != nil {
		return nil, err
	}
	text, err := readNamed(conn)
	if err != nil {
		return nil, err
	}
	conn.Labels = map[string]string{"text": text}
	if r.answer != "" {
		conn.Mechanism.Parameters[common.InodeURL] = fileURL(r.answer)
	}
	return conn, nil
}

func (r *readFile) Close(ctx context.Context, conn *networkservice.Connection) (*empty.Empty, error) {
	return next.Server(ctx).Close(ctx, conn)
}

// runReceiveDescriptors serves until the signal: whoever passes a descriptor is told what is in the file.
func runReceiveDescriptors(_ context.Context, stop <-chan struct{}, o *options) error {
	s, err := newSecurity(o)
	if err != nil {
		return err
	}
	l, err := listen(o)
	if err != nil {
		return err
	}
	// The one answers with the descriptor of the other's file, so it stands before who receives.
	service := chain.NewNetworkServiceServer(metadata.NewServer(), sendfd.NewServer(), recvfd.NewServer(), &readFile{o.file})
	server, failed := l.serve(s, func(g *grpc.Server) { networkservice.RegisterNetworkServiceServer(g, service) })
	defer server.Stop()
	printReady(l.strings())
	return until(stop, failed)
}

// runSendDescriptors sends the file in each of its Requests, prints what the server found in it and what is in
// the file that the server sent, and ends.
func runSendDescriptors(ctx context.Context, _ <-chan struct{}, o *options) error {
	cc, err := connectionTo(o)
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }()
	// Not chain.NewNetworkServiceClient: its tracing drops the call options that bring the descriptor to the call.
	client := next.NewNetworkServiceClient(
		metadata.NewClient(), recvfd.NewClient(), sendfd.NewClient(), networkservice.NewNetworkServiceClient(cc))
	printReady(nil)
	for i := 0; i < o.connections; i++ {
		id := fmt.Sprintf("c%d", i)
		asked, cancel := context.WithTimeout(ctx, o.requestTimeout)
		conn, err := client.Request(asked, &networkservice.NetworkServiceRequest{
			Connection: &networkservice.Connection{
				Id:   id,
				Path: &networkservice.Path{PathSegments: []*networkservice.PathSegment{{Id: id, Name: o.name}}},
				Mechanism: &networkservice.Mechanism{Cls: cls.LOCAL, Type: kernel.MECHANISM,
					Parameters: map[string]string{common.InodeURL: fileURL(o.file)}},
			},
		})
		cancel()
		if err != nil {
			return err
		}
		text, err := readNamed(conn)
		if err != nil {
			return err
		}
		printLine(map[string]any{"event": "answer", "found": conn.GetLabels()["text"], "received": text})
	}
	return nil
}

func fileURL(path string) string {
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// readNamed is what is in the file that the mechanism names.
func readNamed(conn *networkservice.Connection) (string, error) {
	named, err := url.Parse(conn.GetMechanism().GetParameters()[common.InodeURL])
	if err != nil {
		return "", err
	}
	if named.Scheme != "file" {
		return "", fmt.Errorf("%s is no file", named)
	}
	text, err := os.ReadFile(named.Path)
	return string(text), err
}
