package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// workloadIssuer signs with an intermediate below the newest of its authorities, as SPIRE does with
// an upstream authority: every SVID is a chain of two.
type workloadIssuer struct {
	domain       spiffeid.TrustDomain
	life         time.Duration
	authorities  []*workloadAuthority
	intermediate *workloadAuthority
}

type workloadAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newWorkloadIssuer keeps its first authority in dir, if one is given, so that a restarted agent is
// trusted as the earlier one was.
func newWorkloadIssuer(domain spiffeid.TrustDomain, dir string, life time.Duration) (*workloadIssuer, error) {
	i := &workloadIssuer{domain: domain, life: life}
	if dir == "" {
		return i, i.newAuthority()
	}
	kept, err := readWorkloadAuthority(dir)
	if os.IsNotExist(err) {
		if kept, err = i.root(); err == nil {
			err = kept.write(dir)
		}
	}
	if err != nil {
		return nil, err
	}
	return i, i.use(kept)
}

func (i *workloadIssuer) newAuthority() error {
	root, err := i.root()
	if err != nil {
		return err
	}
	return i.use(root)
}

func (i *workloadIssuer) root() (*workloadAuthority, error) {
	template := i.authorityTemplate("root")
	return signWorkloadAuthority(template, nil)
}

func (i *workloadIssuer) use(root *workloadAuthority) error {
	intermediate, err := signWorkloadAuthority(i.authorityTemplate("intermediate"), root)
	if err != nil {
		return err
	}
	i.authorities = append(i.authorities, root)
	i.intermediate = intermediate
	return nil
}

func (i *workloadIssuer) forget() {
	i.authorities = i.authorities[len(i.authorities)-1:]
}

// bundle is the concatenated DER of all authorities.
func (i *workloadIssuer) bundle() []byte {
	var der []byte
	for _, one := range i.authorities {
		der = append(der, one.certificate.Raw...)
	}
	return der
}

func (i *workloadIssuer) authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{Organization: []string{i.domain.Name()}, CommonName: name},
		URIs:                  []*url.URL{i.domain.ID().URL()},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// issue makes an SVID of a kind of key: p256, p384 or rsa.
func (i *workloadIssuer) issue(id spiffeid.ID, kind string, life time.Duration) (*workload.X509SVID, error) {
	key, err := workloadKey(kind)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber:          serialNumber(),
		URIs:                  []*url.URL{id.URL()},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(life),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, i.intermediate.certificate, key.Public(), i.intermediate.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &workload.X509SVID{
		SpiffeId:    id.String(),
		X509Svid:    append(der, i.intermediate.certificate.Raw...),
		X509SvidKey: keyDER,
		Bundle:      i.bundle(),
		Hint:        id.Path()[strings.LastIndex(id.Path(), "/")+1:],
	}, nil
}

func workloadKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("no key of kind %q", kind)
}

// signWorkloadAuthority makes an authority below parent, or a root.
func signWorkloadAuthority(template *x509.Certificate, parent *workloadAuthority) (*workloadAuthority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &workloadAuthority{certificate, key}, err
}

func readWorkloadAuthority(dir string) (*workloadAuthority, error) {
	der, err := os.ReadFile(filepath.Join(dir, "authority.der"))
	if err != nil {
		return nil, err
	}
	keyDER, err := os.ReadFile(filepath.Join(dir, "authority-key.der"))
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	return &workloadAuthority{certificate, key}, err
}

func (a *workloadAuthority) write(dir string) error {
	keyDER, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "authority-key.der"), keyDER, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "authority.der"), a.certificate.Raw, 0o600)
}
