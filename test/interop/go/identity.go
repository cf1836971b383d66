package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/edwarnicke/grpcfd"
	"github.com/golang-jwt/jwt/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/networkservicemesh/sdk/pkg/tools/spiffejwt"
	"github.com/networkservicemesh/sdk/pkg/tools/token"
)

// security is what a process shows to its peers and demands from them.
type security struct {
	tokens      token.GeneratorFunc
	serving     credentials.TransportCredentials
	dialOptions []grpc.DialOption
	policies    bool
}

func newSecurity(o *options) (*security, error) {
	s := &security{policies: o.policies && !o.insecure}
	var dialing credentials.TransportCredentials

	switch dir, files := strings.CutPrefix(o.identity, "files="); {
	case o.insecure && o.identity != "":
		return nil, fmt.Errorf("--insecure and --identity exclude each other")
	case o.insecure:
		s.tokens = unsignedIdentity("spiffe://example.org/"+o.name, o.maxTokenLifetime)
		s.serving = grpcfd.TransportCredentials(insecure.NewCredentials())
		dialing = grpcfd.TransportCredentials(insecure.NewCredentials())
	case o.identity == "spiffe":
		// As the programs of NSM do: from the agent at SPIFFE_ENDPOINT_SOCKET, for as long as the process lives.
		source, err := workloadapi.NewX509Source(context.Background())
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		s.tokens = spiffejwt.TokenGeneratorFunc(source, o.maxTokenLifetime)
		dialing = s.useCertificates(source, source)
	case files:
		svid, err := x509svid.Load(filepath.Join(dir, "svid.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		bundle, err := x509bundle.Load(svid.ID.TrustDomain(), filepath.Join(dir, "ca.pem"))
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		signer := *svid
		if o.forgeTokens {
			if signer.PrivateKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				return nil, err
			}
		}
		s.tokens = spiffejwt.TokenGeneratorFunc(&signer, o.maxTokenLifetime)
		dialing = s.useCertificates(svid, bundle)
	default:
		return nil, fmt.Errorf("give --insecure, --identity spiffe or --identity files=DIR")
	}

	s.dialOptions = []grpc.DialOption{
		grpc.WithTransportCredentials(dialing),
		grpc.WithDefaultCallOptions(grpc.PerRPCCredentials(token.NewPerRPCCredentials(s.tokens))),
		grpcfd.WithChainUnaryInterceptor(),
		grpcfd.WithChainStreamInterceptor(),
	}
	if o.insecure {
		s.dialOptions = append(s.dialOptions,
			grpc.WithChainUnaryInterceptor(plainUnary), grpc.WithChainStreamInterceptor(plainStream))
	}
	if o.blockingDial {
		s.dialOptions = append(s.dialOptions, grpc.WithBlock())
	}
	return s, nil
}

// useCertificates sets the credentials to serve with, and returns those to dial with.
func (s *security) useCertificates(svid x509svid.Source, bundle x509bundle.Source) credentials.TransportCredentials {
	server := tlsconfig.MTLSServerConfig(svid, bundle, tlsconfig.AuthorizeAny())
	server.MinVersion = tls.VersionTLS12
	client := tlsconfig.MTLSClientConfig(svid, bundle, tlsconfig.AuthorizeAny())
	client.MinVersion = tls.VersionTLS12
	s.serving = grpcfd.TransportCredentials(credentials.NewTLS(server))
	return grpcfd.TransportCredentials(credentials.NewTLS(client))
}

// unsignedIdentity makes tokens nobody can verify. Peers still need the expiry they carry.
func unsignedIdentity(subject string, life time.Duration) token.GeneratorFunc {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return func(credentials.AuthInfo) (string, time.Time, error) {
		expires := time.Now().Add(life)
		claims := jwt.RegisteredClaims{Subject: subject, ExpiresAt: jwt.NewNumericDate(expires)}
		signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key)
		return signed, expires, err
	}
}

// The token credentials refuse a plaintext connection. The interceptors put this around whatever
// credentials a call ends up with, after those that pass descriptors have wrapped them too.
type plainCredentials struct{ credentials.PerRPCCredentials }

func (plainCredentials) RequireTransportSecurity() bool { return false }

func plain(opts []grpc.CallOption) []grpc.CallOption {
	for i := len(opts) - 1; i >= 0; i-- {
		if option, ok := opts[i].(grpc.PerRPCCredsCallOption); ok {
			return append(opts, grpc.PerRPCCredentials(plainCredentials{option.Creds}))
		}
	}
	return opts
}

func plainUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, cc, plain(opts)...)
}

func plainStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return stream(ctx, desc, cc, method, plain(opts)...)
}
