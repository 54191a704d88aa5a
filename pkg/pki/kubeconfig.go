package pki

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const clusterName = "bonsai"

// kubeconfigs writes the admin's kubeconfig and those of the components, where they differ from what is there.
func (p *PKI) kubeconfigs(have map[string]*pair, o Options) error {
	files := map[string]string{"admin": p.Kubeconfig}
	for _, name := range []string{Scheduler, ControllerManager, Kubelet, Proxy} {
		files[name] = p.Component(name)
	}
	for name, path := range files {
		b, err := clientcmd.Write(*kubeconfig(p.CA, have[name], o.Server))
		if err != nil {
			return fmt.Errorf("encode kubeconfig of %s: %w", name, err)
		}
		if err := writeChanged(path, b); err != nil {
			return err
		}
	}
	return nil
}

// kubeconfig carries its certificates in itself: one file to copy to another machine.
func kubeconfig(ca []byte, client *pair, server string) *api.Config {
	user := client.cert.Subject.CommonName
	c := api.NewConfig()
	c.Clusters[clusterName] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	c.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: client.certPEM, ClientKeyData: client.keyPEM}
	c.Contexts[clusterName] = &api.Context{Cluster: clusterName, AuthInfo: user}
	c.CurrentContext = clusterName
	return c
}

// mark is the extension by which a context is known to be ours; it remembers the current context of before.
const mark = "bonsai"

// MergeKubeconfig adds the cluster, user and current context of the kubeconfig at from to the user's own at path, all
// under name, and makes it the current context. Everything else in the file stays. It refuses to replace a context
// of that name that it did not make.
func MergeKubeconfig(path, name, from string) error {
	src, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	own, old, err := loadOwn(path)
	if err != nil {
		return err
	}
	before := own.CurrentContext
	if c := own.Contexts[name]; c != nil {
		ext, ours := c.Extensions[mark]
		if !ours {
			return fmt.Errorf("%s has a context %q that is not this cluster's: rename it (kubectl config rename-context %s NEW), or leave the file alone with --no-merge-kubeconfig", path, name, name)
		}
		if before == name {
			before = remembered(ext)
		}
	}
	ctx := src.Contexts[src.CurrentContext]
	own.Clusters[name] = src.Clusters[ctx.Cluster]
	own.AuthInfos[name] = src.AuthInfos[ctx.AuthInfo]
	own.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name, Extensions: map[string]runtime.Object{
		mark: &runtime.Unknown{Raw: fmt.Appendf(nil, `{"previous":%q}`, before), ContentType: runtime.ContentTypeJSON},
	}}
	own.CurrentContext = name
	return writeOwn(path, own, old)
}

// UnmergeKubeconfig takes out what MergeKubeconfig put in from there, and makes the context of before current again. A
// context of that name that another cluster has put in since stays.
func UnmergeKubeconfig(path, name, from string) error {
	src, err := clientcmd.LoadFromFile(from)
	if err != nil {
		return fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	own, old, err := loadOwn(path)
	if err != nil {
		return err
	}
	c := own.Contexts[name]
	if c == nil || c.Extensions[mark] == nil || !sameCluster(own.Clusters[name], src.Clusters[clusterName]) {
		return nil
	}
	if own.CurrentContext == name {
		own.CurrentContext = remembered(c.Extensions[mark])
	}
	delete(own.Clusters, name)
	delete(own.AuthInfos, name)
	delete(own.Contexts, name)
	if len(own.Clusters)+len(own.AuthInfos)+len(own.Contexts) == 0 {
		return os.Remove(path)
	}
	return writeOwn(path, own, old)
}

// sameCluster goes by the CA, of which each cluster makes its own.
func sameCluster(a, b *api.Cluster) bool {
	return a != nil && b != nil && bytes.Equal(a.CertificateAuthorityData, b.CertificateAuthorityData)
}

// loadOwn reads the user's kubeconfig; a missing one is empty.
func loadOwn(path string) (*api.Config, []byte, error) {
	b, err := readIfThere(path)
	if err != nil {
		return nil, nil, err
	}
	c, err := clientcmd.Load(b)
	if err != nil {
		return nil, nil, fmt.Errorf("read kubeconfig %s: %w", path, err)
	}
	return c, b, nil
}

// writeOwn writes through a symbolic link, and leaves the file with the owner that it, or its directory, had: under
// sudo it is not root's.
func writeOwn(path string, c *api.Config, old []byte) error {
	b, err := clientcmd.Write(*c)
	if err != nil {
		return fmt.Errorf("encode kubeconfig %s: %w", path, err)
	}
	if bytes.Equal(b, old) {
		return nil
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if err := makeParent(path); err != nil {
		return err
	}
	owner, err := os.Stat(path)
	if err != nil {
		owner, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if err := writeFile(path, b); err != nil {
		return err
	}
	return chown(path, owner)
}
