// Command gopeer runs one Network Service Mesh component built on the Go SDK, so that other
// implementations can be tried against it over real sockets.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync"
	"syscall"

	"github.com/sirupsen/logrus"

	"github.com/networkservicemesh/sdk/pkg/tools/log"
	"github.com/networkservicemesh/sdk/pkg/tools/log/logruslogger"
)

// A program runs until its work is done or stop is closed by a signal. Its context lives longer
// than stop: connections have to be closed after the signal.
type program func(ctx context.Context, stop <-chan struct{}, o *options) error

var programs = map[string]program{
	"registry":  runRegistry,
	"nsmgr":     runManager,
	"forwarder": runForwarder,
	"nse":       runEndpoint,
	"nsc":       runClient,
	"monitor":   runMonitor,
	"find":      runFind,
	"load":      runLoad,
	"certs":     runCerts,
	"sendfd":    runSendDescriptors,
	"recvfd":    runReceiveDescriptors,

	"workload-api": runWorkloadAPI,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gopeer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || programs[args[0]] == nil {
		names := make([]string, 0, len(programs))
		for name := range programs {
			names = append(names, name)
		}
		sort.Strings(names)
		return fmt.Errorf("first argument must be one of %s", strings.Join(names, ", "))
	}
	o, err := parseOptions(args[0], args[1:])
	if err != nil {
		return err
	}

	level, err := logrus.ParseLevel(o.logLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	logrus.SetOutput(os.Stderr)
	logrus.SetLevel(level)
	log.EnableTracing(level >= logrus.InfoLevel)
	log.SetGlobalLogger(logruslogger.New(context.Background()))

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	stop := make(chan struct{})
	go func() {
		<-signals
		close(stop)
	}()
	return programs[args[0]](ctx, stop, o)
}

var output sync.Mutex

// printLine writes one JSON object per line; goroutines may call it at the same time.
func printLine(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n'))
}

func printReady(listenOn []string) {
	if listenOn == nil {
		listenOn = []string{}
	}
	printLine(struct {
		Ready    bool     `json:"ready"`
		ListenOn []string `json:"listenOn"`
	}{true, listenOn})
}
