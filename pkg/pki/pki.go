package pki

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Options say for whom the certificates are.
type Options struct {
	// Server is the URL at which clients find the API server, such as https://192.0.2.7:6443.
	Server string
	// NodeName and NodeIPs are of this machine's node.
	NodeName string
	NodeIPs  []net.IP
	// ServiceIP is that of the kubernetes service.
	ServiceIP net.IP
	// ClusterDomain is usually cluster.local.
	ClusterDomain string
	// ExtraSANs are further names or addresses by which clients reach the API server.
	ExtraSANs []string
	Now       time.Time
}

// PKI is what Ensure made or found.
type PKI struct {
	// CA is the authority in PEM, as in a pod's ca.crt; Pool is the same for tls.Config.
	CA   []byte
	Pool *x509.CertPool
	// APIServer is the serving certificate of the API server, Kubelet that of the kubelet, and KubeletClient that by
	// which the API server proves itself to the kubelet.
	APIServer, Kubelet, KubeletClient tls.Certificate
	// ProxyClient is by which the API server proves to aggregated API servers that it may say who asks.
	ProxyClient tls.Certificate
	// ServiceAccountKey signs service account tokens.
	ServiceAccountKey *ecdsa.PrivateKey
	// EncryptionConfig is the path of the configuration by which secrets are encrypted on the disk.
	EncryptionConfig string
	// Kubeconfig is the path of the admin's kubeconfig; Component gives those of the others.
	Kubeconfig string
	// Done says what this Ensure did, one line for each file, and why. Empty if all was well.
	Done []string

	dir string
}

// The components that have kubeconfigs, by the names of their files.
const (
	Scheduler         = "scheduler"
	ControllerManager = "controller-manager"
	Kubelet           = "kubelet"
	Proxy             = "proxy"
)

// FrontProxy is the name in the certificate ProxyClient, by which aggregated API servers know who may speak for others: all
// certificates are of one authority.
const FrontProxy = "front-proxy-client"

// Component returns the path of the kubeconfig of one of the components above.
func (p *PKI) Component(name string) string {
	return filepath.Join(p.dir, "kubeconfigs", name+".kubeconfig")
}

// APIServerFiles are the paths of the API server's certificate and its key.
func (p *PKI) APIServerFiles() (certificate, key string) {
	base := filepath.Join(p.dir, "pki", "apiserver")
	return base + ".crt", base + ".key"
}

// Ensure makes or mends everything below the data directory dir: dir/pki, dir/encryption.yaml, dir/kubeconfig and dir/kubeconfigs.
func Ensure(dir string, o Options) (*PKI, error) {
	if u, err := url.Parse(o.Server); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("make certificates: %q is not the URL of an API server, such as https://192.0.2.7:6443", o.Server)
	}
	certs := filepath.Join(dir, "pki")
	for _, d := range []string{certs, filepath.Join(dir, "kubeconfigs")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make certificates: %w", err)
		}
	}
	p := &PKI{dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig")}
	have, err := p.certificates(certs, o)
	if err != nil {
		return nil, err
	}
	if p.ServiceAccountKey, err = p.signingKey(certs); err != nil {
		return nil, err
	}
	if err := p.encryptionConfig(dir); err != nil {
		return nil, err
	}
	return p, p.kubeconfigs(have, o)
}

// certificates brings the authority and all leaves up to date.
func (p *PKI) certificates(dir string, o Options) (map[string]*pair, error) {
	ca, err := p.authority(dir, o.Now)
	if err != nil {
		return nil, err
	}
	leaves := wanted(o)
	have := map[string]*pair{}
	for _, l := range leaves {
		if have[l.name], err = load(dir, l.name); err != nil {
			return nil, err
		}
	}
	for _, s := range plan(ca, have, leaves, o.Now) {
		if have[s.leaf.name], err = issue(dir, ca, s.leaf, o.Now); err != nil {
			return nil, err
		}
		p.Done = append(p.Done, s.leaf.name+": "+s.reason)
	}
	p.CA, p.Pool = ca.certPEM, x509.NewCertPool()
	p.Pool.AddCert(ca.cert)
	p.APIServer = have["apiserver"].tls()
	p.Kubelet = have["kubelet-server"].tls()
	p.KubeletClient = have["apiserver-kubelet-client"].tls()
	p.ProxyClient = have["front-proxy-client"].tls()
	return have, nil
}

// authority makes the CA, or renews it with its old key.
func (p *PKI) authority(dir string, now time.Time) (*pair, error) {
	ca, err := load(dir, "ca")
	if err != nil {
		return nil, err
	}
	reason := why(ca, now)
	if reason == "" {
		return ca, nil
	}
	p.Done = append(p.Done, "ca: "+reason)
	return issueCA(dir, ca.key, now)
}
