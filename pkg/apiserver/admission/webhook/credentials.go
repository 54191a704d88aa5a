package webhook

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Credentials are how this server proves to webhooks that it is the one that asks. They are the users of a kubeconfig, named after whom
// they are for: "HOST:PORT", as in the URL or SERVICE.NAMESPACE.svc:PORT; "*.DOMAIN:PORT"; either without the port if that is 443; or
// "*" for all others. Where there is none, the user of the current context is taken, and else none.
type Credentials struct{ config clientcmdapi.Config }

// LoadCredentials reads the kubeconfig at path.
func LoadCredentials(path string) (*Credentials, error) {
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("credentials for webhooks: %w", err)
	}
	if err := clientcmd.ResolveLocalPaths(config); err != nil {
		return nil, fmt.Errorf("credentials for webhooks: %w", err)
	}
	return &Credentials{*config}, nil
}

// userFor returns the user for a server at HOST:PORT; nil if there is none.
func (c *Credentials) userFor(target string) *clientcmdapi.AuthInfo {
	names := wildcards(target)
	if host, port, err := net.SplitHostPort(target); err == nil && port == "443" {
		names = append(names, wildcards(host)...)
	}
	for _, name := range append(names, "*") {
		if user := c.config.AuthInfos[name]; user != nil {
			return user
		}
	}
	if current := c.config.Contexts[c.config.CurrentContext]; current != nil {
		return c.config.AuthInfos[current.AuthInfo]
	}
	return nil
}

// wildcards are the names that stand for a target, the most exact first.
func wildcards(target string) []string {
	names := []string{target}
	for {
		_, rest, found := strings.Cut(target, ".")
		if !found {
			return names
		}
		names, target = append(names, "*."+rest), rest
	}
}

// prove has requests through t, which go to target, bring what they need, and returns what they go through then.
func (c *Credentials) prove(target string, t *http.Transport, through http.RoundTripper) (http.RoundTripper, error) {
	if c == nil {
		return through, nil
	}
	user := c.userFor(target)
	if user == nil {
		return through, nil
	}
	cfg, err := clientcmd.NewDefaultClientConfig(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"": {Server: "https://" + target}}, AuthInfos: map[string]*clientcmdapi.AuthInfo{"": user},
		Contexts: map[string]*clientcmdapi.Context{"": {}},
	}, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, err
	}
	own, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, err
	}
	if own != nil {
		t.TLSClientConfig.Certificates, t.TLSClientConfig.GetClientCertificate = own.Certificates, own.GetClientCertificate
	}
	return rest.HTTPWrappersForConfig(cfg, through)
}
