package customresource

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Converter makes an object of one version of another. It leaves its argument as it is.
type Converter interface {
	Convert(u *unstructured.Unstructured, to schema.GroupVersion) (*unstructured.Unstructured, error)
}

// rename is the conversion "None": another apiVersion on the same fields.
type rename struct{}

func (rename) Convert(u *unstructured.Unstructured, to schema.GroupVersion) (*unstructured.Unstructured, error) {
	out := u.DeepCopy()
	out.SetAPIVersion(to.String())
	return out, nil
}

// broken stands for a webhook that cannot be called, as long as nobody has put in its certificate. What is read in the version that it
// is stored in needs none.
type broken struct{ err error }

func (b broken) Convert(u *unstructured.Unstructured, _ schema.GroupVersion) (*unstructured.Unstructured, error) {
	return nil, fmt.Errorf("conversion webhook for %v failed: %w", u.GroupVersionKind(), b.err)
}

// check returns the version to convert to, if the definition knows both.
func (k *kind) check(from, to schema.GroupVersion) (*version, error) {
	v := k.versions[to.Version]
	switch was := k.versions[from.Version]; {
	case v == nil || to.Group != k.stored.Group:
		return nil, fmt.Errorf("request to convert CR to an invalid group/version: %s", to)
	case was == nil || from.Group != k.stored.Group:
		return nil, fmt.Errorf("request to convert CR from an invalid group/version: %s", from)
	}
	return v, nil
}
