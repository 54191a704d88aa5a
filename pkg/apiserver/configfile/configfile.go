// Package configfile reads the files by which people configure an API server: EncryptionConfiguration, AuthenticationConfiguration,
// the audit Policy. They are versioned objects like any other, in upstream's own types, and are read as such: strictly, in each version
// that there is, with upstream's defaults. An unknown field is an error, because a policy that silently leaves out what was
// meant is worse than none.
//
// Some are read again when they change (Follower), so that an issuer, a webhook or a key can be replaced while the server runs.
package configfile

import (
	"errors"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	apiserverinstall "k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/audit"
	auditinstall "k8s.io/apiserver/pkg/apis/audit/install"
)

// Read returns the object in the file, which must be a *T of one of upstream's configuration groups.
func Read[T any, P interface {
	*T
	runtime.Object
}](path string) (P, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse[T, P](path, b)
}

// Parse returns the object that b, read from path, holds.
func Parse[T any, P interface {
	*T
	runtime.Object
}](path string, b []byte) (P, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("read %s: it is empty", path)
	}
	obj, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	want, ok := obj.(P)
	if !ok {
		return nil, fmt.Errorf("read %s: it holds a %T, not a %T", path, obj, want)
	}
	return want, nil
}

func decode(b []byte) (runtime.Object, error) {
	scheme := runtime.NewScheme()
	apiserverinstall.Install(scheme)
	auditinstall.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	hubs := schema.GroupVersions{apiserver.SchemeGroupVersion, audit.SchemeGroupVersion}
	obj, _, err := codecs.DecoderToVersion(codecs.UniversalDeserializer(), hubs).Decode(b, nil, nil)
	if runtime.IsMissingVersion(err) || runtime.IsMissingKind(err) {
		return nil, errors.Join(err, errors.New("a configuration file begins with its apiVersion and kind"))
	}
	return obj, err
}
