package main

import (
	"flag"
	"fmt"
	"net/url"
	"strings"
	"time"
)

type options struct {
	name             string
	listenOn         stringList
	registry         string
	connectTo        string
	services         stringList
	labels           labels
	cidr             prefixGroups
	payload          string
	requests         stringList
	requestTimeout   time.Duration
	dialTimeout      time.Duration
	blockingDial     bool
	insecure         bool
	identity         string
	policies         bool
	forgeTokens      bool
	maxTokenLifetime time.Duration
	logLevel         string

	connections int
	concurrency int
	refresh     bool
	close       bool
	heal        bool
	hold        time.Duration

	file     string
	keepPath bool

	dir         string
	trustDomain string
	ids         stringList
	certTTL     time.Duration
}

func parseOptions(program string, args []string) (*options, error) {
	o := &options{labels: labels{}}
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.StringVar(&o.name, "name", program, "name of the process in paths and in the registry")
	flags.Var(&o.listenOn, "listen-on", "URL to serve on, may be repeated or comma-separated")
	flags.StringVar(&o.registry, "registry", "", "URL of the registry; empty: an own one in memory")
	flags.StringVar(&o.connectTo, "connect-to", "", "URL of the manager, or of what is asked")
	flags.Var(&o.services, "service", "network service, may be repeated")
	flags.Var(o.labels, "labels", "k=v,k=v")
	flags.Var(&o.cidr, "cidr", "prefix to give addresses from; [a,b] is one group of two")
	flags.StringVar(&o.payload, "payload", "ETHERNET", "payload of the network service")
	flags.Var(&o.requests, "request", "kernel://SERVICE[@DOMAIN]/IFACE?label=value, may be repeated")
	flags.DurationVar(&o.requestTimeout, "request-timeout", 15*time.Second, "limit for a first Request and for a Close")
	flags.DurationVar(&o.dialTimeout, "dial-timeout", 2*time.Second, "limit for a dial when it blocks")
	flags.BoolVar(&o.blockingDial, "blocking-dial", false, "wait for the connection in each dial")
	flags.BoolVar(&o.insecure, "insecure", false, "no TLS, unsigned identity")
	flags.StringVar(&o.identity, "identity", "", "spiffe, or files=DIR with ca.pem, svid.pem and key.pem")
	flags.BoolVar(&o.policies, "policies", true, "check tokens with the default policies (with --identity only)")
	flags.BoolVar(&o.forgeTokens, "forge-tokens", false, "sign tokens with a key that is not the certificate's")
	flags.DurationVar(&o.maxTokenLifetime, "max-token-lifetime", 10*time.Minute, "life of a token")
	flags.StringVar(&o.logLevel, "log-level", "panic", "panic, fatal, error, warn, info, debug or trace")

	flags.IntVar(&o.connections, "connections", 100, "load: how many connections to make")
	flags.IntVar(&o.concurrency, "concurrency", 1, "load: how many Requests at a time")
	flags.BoolVar(&o.refresh, "refresh", false, "load: refresh each connection once")
	flags.BoolVar(&o.close, "close", false, "load: close each connection")
	flags.BoolVar(&o.heal, "heal", false, "load: watch each connection as a healing client does")
	flags.DurationVar(&o.hold, "hold", 0, "load: keep the connections that long before the Closes")

	flags.BoolVar(&o.keepPath, "keep-path", false,
		"nsc, nse: name the network namespace by its path, as if its descriptor had left too early")
	flags.StringVar(&o.file, "file", "", "sendfd, recvfd: the file to send to the other side")
	flags.StringVar(&o.dir, "dir", "", "certs: folder to write to")
	flags.StringVar(&o.trustDomain, "trust-domain", "example.org", "certs: trust domain")
	flags.Var(&o.ids, "id", "certs: SPIFFE id, may be repeated")
	flags.DurationVar(&o.certTTL, "ttl", 24*time.Hour, "certs: life of the certificates")

	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

func (o *options) connectURL() (*url.URL, error) {
	if o.connectTo == "" {
		return nil, fmt.Errorf("--connect-to is missing")
	}
	return url.Parse(o.connectTo)
}

type stringList []string

func (l *stringList) String() string { return strings.Join(*l, ",") }

func (l *stringList) Set(value string) error {
	*l = append(*l, strings.Split(value, ",")...)
	return nil
}

type labels map[string]string

func (l labels) String() string { return fmt.Sprint(map[string]string(l)) }

func (l labels) Set(value string) error {
	for _, pair := range strings.Split(value, ",") {
		key, label, ok := strings.Cut(pair, "=")
		if !ok {
			key, label, ok = strings.Cut(pair, ":")
		}
		if !ok {
			return fmt.Errorf("%q is not k=v", pair)
		}
		l[key] = label
	}
	return nil
}
