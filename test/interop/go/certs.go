package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// runCerts writes one folder of PEM files per id below --dir, named after the last part of the
// id's path: ca.pem, svid.pem and key.pem. The authority is made on the spot and its key
// forgotten, so all ids that are to trust each other must be asked for in one call.
func runCerts(_ context.Context, _ <-chan struct{}, o *options) error {
	if o.dir == "" || len(o.ids) == 0 {
		return fmt.Errorf("--dir and at least one --id are needed")
	}
	domain, err := spiffeid.TrustDomainFromString(o.trustDomain)
	if err != nil {
		return fmt.Errorf("--trust-domain: %w", err)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{CommonName: domain.Name()},
		URIs:                  []*url.URL{domain.ID().URL()},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(o.certTTL),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	authority, err = x509.ParseCertificate(caDER)
	if err != nil {
		return err
	}
	dirs := map[string]string{}
	for _, text := range o.ids {
		id, err := spiffeid.FromString(text)
		if err != nil {
			return fmt.Errorf("--id: %w", err)
		}
		if !id.MemberOf(domain) {
			return fmt.Errorf("--id %s is not in trust domain %s", text, domain.Name())
		}
		dir := filepath.Join(o.dir, text[strings.LastIndex(text, "/")+1:])
		if err := writeIdentity(dir, id, authority, caKey, o.certTTL); err != nil {
			return err
		}
		dirs[text] = dir
	}
	printLine(map[string]any{"ready": true, "listenOn": []string{}, "identities": dirs})
	return nil
}

func writeIdentity(dir string, id spiffeid.ID, authority *x509.Certificate, caKey *ecdsa.PrivateKey, ttl time.Duration) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber:          serialNumber(),
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(ttl),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leaf.URIs = append(leaf.URIs, id.URL())
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: authority.Raw},
		"svid.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func serialNumber() *big.Int {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return number
}
