package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// runWorkloadAPI serves the SPIFFE Workload API without a node behind it: every caller gets an SVID
// for each --id. Commands on stdin change what it serves; each is answered by one line on stdout:
//
//	rotate                   new keys and certificates for all ids
//	authority                a new authority signs from the next rotation on; the old one stays trusted
//	forget                   only the newest authority stays trusted
//	federate DOMAIN BUNDLE   trust a foreign domain; BUNDLE is base64 of DER, as "bundle" prints it
//	bundle                   prints the own bundle
//	again                    sends what was sent before
//	send WHAT                sends one bad response: empty, malformed, mismatched, rsa, p384, expired
//	deny, invalid, allow     answer calls with PermissionDenied, InvalidArgument, normally
func runWorkloadAPI(_ context.Context, stop <-chan struct{}, o *options) error {
	agent, err := newWorkloadAgent(o)
	if err != nil {
		return err
	}
	l, err := listen(o)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, agent)
	failed := make(chan error, len(l.open))
	for _, opened := range l.open {
		go func() {
			if err := server.Serve(opened); err != nil {
				failed <- err
			}
		}()
	}
	defer server.Stop()
	printReady(l.strings())
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			answer, err := agent.command(strings.Fields(lines.Text()))
			if err != nil {
				printLine(map[string]string{"event": "error", "error": err.Error()})
				continue
			}
			printLine(map[string]string{"event": "done", "answer": answer})
		}
	}()
	return until(stop, failed)
}

// workloadAgent holds the response that each stream gets at once and after each change: the last
// good one, or a bad one until the next command.
type workloadAgent struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	issuer *workloadIssuer
	ids    []spiffeid.ID

	mutex     sync.Mutex
	good      *workload.X509SVIDResponse
	response  *workload.X509SVIDResponse
	refusal   error
	changed   chan struct{}
	federated map[string][]byte
}

func newWorkloadAgent(o *options) (*workloadAgent, error) {
	domain, err := spiffeid.TrustDomainFromString(o.trustDomain)
	if err != nil {
		return nil, fmt.Errorf("--trust-domain: %w", err)
	}
	if len(o.ids) == 0 {
		return nil, fmt.Errorf("at least one --id is needed")
	}
	a := &workloadAgent{changed: make(chan struct{}), federated: map[string][]byte{}}
	for _, text := range o.ids {
		id, err := spiffeid.FromString(text)
		if err != nil {
			return nil, fmt.Errorf("--id: %w", err)
		}
		a.ids = append(a.ids, id)
	}
	if a.issuer, err = newWorkloadIssuer(domain, o.dir, o.certTTL); err != nil {
		return nil, err
	}
	return a, a.rotate()
}

func (a *workloadAgent) command(words []string) (string, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	switch words = append(words, "", "", ""); words[0] {
	case "rotate":
		return "", a.rotate()
	case "authority":
		if err := a.issuer.newAuthority(); err != nil {
			return "", err
		}
		a.trust()
	case "forget":
		a.issuer.forget()
		a.trust()
	case "federate":
		bundle, err := base64.StdEncoding.DecodeString(words[2])
		if err != nil {
			return "", err
		}
		a.federated["spiffe://"+words[1]] = bundle
		a.trust()
	case "bundle":
		return base64.StdEncoding.EncodeToString(a.issuer.bundle()), nil
	case "again":
		a.send(a.good)
	case "send":
		return "", a.sendBad(words[1])
	case "deny":
		a.refuse(status.Error(codes.PermissionDenied, "no identity issued"))
	case "invalid":
		a.refuse(status.Error(codes.InvalidArgument, "this is not what I expect"))
	case "allow":
		a.refuse(nil)
	default:
		return "", fmt.Errorf("no command %q", words[0])
	}
	return "", nil
}

// rotate makes new SVIDs. The first id comes first; the hint is the last part of its path.
func (a *workloadAgent) rotate() error {
	svids := make([]*workload.X509SVID, 0, len(a.ids))
	for _, id := range a.ids {
		svid, err := a.issuer.issue(id, "p256", a.issuer.life)
		if err != nil {
			return err
		}
		svids = append(svids, svid)
	}
	a.good = &workload.X509SVIDResponse{Svids: svids}
	a.trust()
	return nil
}

// trust sends the same SVIDs with the present bundles.
func (a *workloadAgent) trust() {
	next := &workload.X509SVIDResponse{FederatedBundles: map[string][]byte{}}
	for domain, bundle := range a.federated {
		next.FederatedBundles[domain] = bundle
	}
	for _, svid := range a.good.Svids {
		next.Svids = append(next.Svids, &workload.X509SVID{
			SpiffeId: svid.SpiffeId, X509Svid: svid.X509Svid, X509SvidKey: svid.X509SvidKey,
			Hint: svid.Hint, Bundle: a.issuer.bundle(),
		})
	}
	a.good = next
	a.send(next)
}

func (a *workloadAgent) send(response *workload.X509SVIDResponse) {
	a.response = response
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *workloadAgent) refuse(refusal error) {
	a.refusal = refusal
	a.send(a.response)
}

// sendBad serves a response that no workload should use, until the next command.
func (a *workloadAgent) sendBad(what string) error {
	one := func(kind string, life time.Duration) (*workload.X509SVIDResponse, error) {
		svid, err := a.issuer.issue(a.ids[0], kind, life)
		return &workload.X509SVIDResponse{Svids: []*workload.X509SVID{svid}}, err
	}
	var bad *workload.X509SVIDResponse
	var err error
	switch what {
	case "empty":
		bad = &workload.X509SVIDResponse{}
	case "malformed":
		if bad, err = one("p256", a.issuer.life); err == nil {
			bad.Svids[0].X509Svid = bad.Svids[0].X509Svid[:len(bad.Svids[0].X509Svid)-1]
		}
	case "mismatched":
		if bad, err = one("p256", a.issuer.life); err == nil {
			bad.Svids[0].X509SvidKey = a.good.Svids[0].X509SvidKey
		}
	case "rsa", "p384":
		bad, err = one(what, a.issuer.life)
	case "expired":
		bad, err = one("p256", -time.Second)
	default:
		err = fmt.Errorf("cannot send %q", what)
	}
	if err != nil {
		return err
	}
	a.send(bad)
	return nil
}

func (a *workloadAgent) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	headers, _ := metadata.FromIncomingContext(stream.Context())
	if values := headers.Get("workload.spiffe.io"); len(values) != 1 || values[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	for {
		a.mutex.Lock()
		response, refusal, changed := a.response, a.refusal, a.changed
		a.mutex.Unlock()
		if refusal != nil {
			return refusal
		}
		if err := stream.Send(response); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}
