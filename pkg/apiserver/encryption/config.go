package encryption

import (
	"crypto/aes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"bonsai/pkg/apiserver/configfile"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
)

// Load reads the EncryptionConfiguration at path.
func Load(path string, resourceOf func(key string) (schema.GroupResource, bool), log *slog.Logger) (*Transformer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("encryption: %w", err)
	}
	c, err := parse(path, b, false)
	if err != nil {
		return nil, err
	}
	t := &Transformer{resourceOf: resourceOf, log: log, path: path, read: b}
	t.current.Store(c)
	return t, nil
}

// parse reads the configuration that b, the file at path, holds.
func parse(path string, b []byte, reload bool) (*configured, error) {
	c, err := configfile.Parse[apiserver.EncryptionConfiguration](path, b)
	if err != nil {
		return nil, fmt.Errorf("encryption: %w", err)
	}
	if errs := validation.ValidateEncryptionConfiguration(c, reload); len(errs) > 0 {
		return nil, fmt.Errorf("encryption: %s: %w", path, errs.ToAggregate())
	}
	t := &configured{chains: map[schema.GroupResource]chain{}}
	for _, r := range c.Resources {
		if err := t.add(r); err != nil {
			return nil, fmt.Errorf("encryption: %s: %w", path, err)
		}
	}
	return t, nil
}

// add makes the providers of one entry, for each of its resources. Those of a resource that is in several entries follow each other.
func (t *configured) add(r apiserver.ResourceConfiguration) error {
	var links chain
	for _, p := range r.Providers {
		more, err := t.links(p)
		if err != nil {
			return err
		}
		links = append(links, more...)
	}
	for _, name := range r.Resources {
		gr := schema.ParseGroupResource(name)
		for _, wider := range []schema.GroupResource{{Group: gr.Group, Resource: anyResource}, {Group: anyResource, Resource: anyResource}} {
			if _, masked := t.chains[wider]; masked {
				return fmt.Errorf("resource %q is masked by earlier rule %q", inYAML(gr), inYAML(wider))
			}
		}
		t.chains[gr] = append(t.chains[gr], links...)
	}
	return nil
}

// inYAML is how a configuration names a resource: all of the core group are "*.".
func inYAML(r schema.GroupResource) string {
	if r.Group == "" && r.Resource == anyResource {
		return "*."
	}
	return r.String()
}

var errKMSv1 = errors.New("KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead")

// links makes one link for each key of a provider. The configuration is valid.
func (t *configured) links(p apiserver.ProviderConfiguration) (chain, error) {
	switch {
	case p.AESCBC != nil:
		return keyed("aescbc", "AES", p.AESCBC.Keys, func(key []byte) (sealer, error) {
			block, err := aes.NewCipher(key)
			return cbc{block}, err
		})
	case p.AESGCM != nil:
		return keyed("aesgcm", "AES", p.AESGCM.Keys, func(key []byte) (sealer, error) { return newGCM(key) })
	case p.Secretbox != nil:
		return keyed("secretbox", "Secretbox", p.Secretbox.Keys, func(key []byte) (sealer, error) { return box{[32]byte(key)}, nil })
	case p.KMS != nil && p.KMS.APIVersion == "v1":
		return nil, errKMSv1
	case p.KMS != nil:
		service, err := dial(p.KMS.Endpoint, p.KMS.Timeout.Duration)
		if err != nil {
			return nil, fmt.Errorf("could not configure KMSv2-Plugin's probe %q, error: %w", p.KMS.Name, err)
		}
		e := newEnvelope(p.KMS.Name, service, time.Now)
		t.plugins = append(t.plugins, e)
		return chain{{sealer: e, prefix: encryptedPrefix + "kms:v2:" + p.KMS.Name + ":"}}, nil
	}
	return chain{{sealer: identity{}}}, nil
}

func keyed(provider, name string, keys []apiserver.Key, with func([]byte) (sealer, error)) (chain, error) {
	family := encryptedPrefix + provider + ":v1:"
	unknown := fmt.Errorf("no matching key was found for the provided %s transformer", name)
	var out chain
	for _, k := range keys {
		secret, err := base64.StdEncoding.DecodeString(k.Secret)
		if err != nil {
			return nil, fmt.Errorf("could not obtain secret for named key %s: %w", k.Name, err)
		}
		s, err := with(secret)
		if err != nil {
			return nil, fmt.Errorf("error while creating cipher for named key %s: %w", k.Name, err)
		}
		out = append(out, link{sealer: s, prefix: family + k.Name + ":", family: family, unknown: unknown})
	}
	return out, nil
}

// ResourceOf returns what finds the resource of a key: by what builtIn knows or, for custom resources, whose keys begin with
// their group, by the key itself.
func ResourceOf(root string, builtIn func(key string) (schema.GroupResource, bool)) func(string) (schema.GroupResource, bool) {
	return func(key string) (schema.GroupResource, bool) {
		if r, ok := builtIn(key); ok {
			return r, true
		}
		path, _ := strings.CutPrefix(key, root)
		group, rest, _ := strings.Cut(path, "/")
		name, _, isObject := strings.Cut(rest, "/")
		if !isObject || !strings.Contains(group, ".") {
			return schema.GroupResource{}, false
		}
		return schema.GroupResource{Group: group, Resource: name}, true
	}
}
