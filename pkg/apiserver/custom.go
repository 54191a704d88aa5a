package apiserver

import (
	"cmp"
	"errors"
	"fmt"

	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// The objects of custom kinds have no Go type that would refuse what does not fit into it. So what a client sends is read as any
// JSON, and then brought to the kind's schema: what that does not know is cut off, and told to the client as an unknown field is.

var errTerminating = errors.New("create not allowed while custom resource definition is terminating")

// unmarshalCustom is unmarshalJSON for the objects of custom kinds. strict are the duplicate fields.
func unmarshalCustom(body []byte, u *unstructured.Unstructured, findStrict bool) (strict []error, got schema.GroupVersionKind, err error) {
	u.Object = nil
	if findStrict {
		strict, err = kjson.UnmarshalStrict(body, &u.Object)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(body, &u.Object)
	}
	if err == nil {
		if got = u.GroupVersionKind(); got.Kind != "" && got.Version != "" {
			return strict, got, nil
		}
	}
	claimed, bad := claimedType(body) // upstream looks at that first
	switch {
	case bad != nil:
		return nil, schema.GroupVersionKind{}, bad
	case err != nil:
		return nil, claimed, err
	case claimed.Kind == "":
		return nil, claimed, kindless(body)
	}
	return strict, claimed, nil
}

// kindless is a body without a kind, which its error shows as it was sent.
type kindless []byte

func (b kindless) Error() string { return fmt.Sprintf("Object 'Kind' is missing in '%s'", []byte(b)) }

// customNotAllowed is notAllowed, in other words for custom kinds, whose paths upstream does not know one by one.
func customNotAllowed(c *call) error {
	t := c.t
	switch {
	case t.row.Custom == nil:
		return notAllowed()
	case t.sub == "" && t.name == "" && (t.verb == "update" || t.verb == "patch"):
		err := apierrors.NewBadRequest("name must be provided")
		if t.verb == "update" {
			return err
		}
		_, wrongType := patchKind(c)
		return cmp.Or(wrongType, error(err))
	}
	return apierrors.NewMethodNotSupported(t.gr(), t.verb)
}

// noSubresource answers requests for a subresource that the kind does not have.
func noSubresource(c *call) error {
	if t := c.t; t.row.Custom != nil {
		return apierrors.NewNotFound(t.gr(), t.name)
	}
	return missing(c)
}

// readCustom brings u, which was decoded from a body, to its schema, and refuses or warns of what a strict reader finds wrong.
func readCustom(c *call, u *unstructured.Unstructured, strict []error, validation string) error {
	got, want := u.GroupVersionKind(), c.t.ver.GroupVersion
	if got.GroupVersion() != want {
		return apierrors.NewBadRequest(fmt.Sprintf(
			"the API version in the data (%s) does not match the expected API version (%s)", u.GetAPIVersion(), want))
	}
	if err := checkCustomType(c.t, u); err != nil {
		return err
	}
	strict, err := coerceCustom(c, u, strict, validation)
	if err != nil {
		return undecodable(err, c.t.row.Kind, c.t.gvk(), nil)
	}
	return judgeStrict(c, strict, validation, c.t.row.Kind, got)
}

// coerceCustom cuts off what the schema does not know; that is added to strict.
func coerceCustom(c *call, u *unstructured.Unstructured, strict []error, validation string) ([]error, error) {
	unknown, err := c.t.row.Custom.Coerce(u, validation != metav1.FieldValidationIgnore)
	if err != nil {
		return nil, err
	}
	for _, path := range unknown {
		strict = append(strict, fmt.Errorf(`unknown field "%s"`, path))
	}
	return strict, nil
}

// checkCustomType is checkType for custom kinds. Upstream finds out that the kind is another when it validates, so that is a 422.
func checkCustomType(t *target, u *unstructured.Unstructured) error {
	want, got := t.typeMeta(), u.GetAPIVersion()
	var errs field.ErrorList
	if u.GetKind() != want.Kind {
		errs = append(errs, field.Invalid(field.NewPath("kind"), u.GetKind(), "must be "+want.Kind))
	}
	if got != want.APIVersion {
		errs = append(errs, field.Invalid(field.NewPath("apiVersion"), got, "must be "+want.APIVersion))
	}
	if len(errs) == 0 {
		return nil
	}
	if got == "" {
		//lint:ignore ST1005 clients see this text
		return apierrors.NewInternalError(errors.New("Object 'apiVersion' is missing in 'object has no apiVersion field'"))
	}
	return apierrors.NewInvalid(u.GroupVersionKind().GroupKind(), u.GetName(), errs)
}

// customFieldsOf returns what reads the fields that a definition makes selectable, if sel asks for any of them. The store does not
// keep them: they are those of a version, and change with the definition. What cannot be read matches nothing.
func customFieldsOf(row *resource.Row, sel fields.Selector) func(*store.Object) fields.Fields {
	asked := false
	for _, r := range sel.Requirements() {
		asked = asked || r.Field != "metadata.name" && r.Field != "metadata.namespace"
	}
	return func(o *store.Object) fields.Fields {
		if !asked {
			return o.Attrs.Fields
		}
		obj, err := row.DecodeStorage(o.Value, o.Rev)
		if err != nil {
			return fields.Set{}
		}
		return fields.Set(row.FieldSet(obj))
	}
}
