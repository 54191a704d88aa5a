package apiserver

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"unicode"

	"bonsai/pkg/apiserver/customresource"
	"bonsai/pkg/resource"

	jsonv2 "github.com/go-json-experiment/json"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// apply is server-side apply: the body is all that one manager wants of the object. Fields that it wanted before and
// no longer names go; fields that another manager owns with another value are conflicts, unless forced. An object that
// does not exist is made.
func (s *Server) apply(c *call, o *metav1.PatchOptions, body []byte) error {
	want, err := readApplied(c, o, body)
	if err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: o.FieldManager, applied: true}
	force := o.Force != nil && *o.Force
	e := s.edit(c, w)
	e.next = func(old resource.Object) (resource.Object, error) {
		return s.applied(c, old.DeepCopyObject().(resource.Object), want, w, force)
	}
	if c.t.sub == "" {
		e.absent = func() (outcome, error) { return s.insertByApply(c, want, w, force) }
	}
	out, err := s.change(c, c.t, e)
	if err != nil {
		return err
	}
	return s.answerOutcome(c, http.StatusOK, out)
}

// appliedBody is what a manager wants, and what a strict reader finds wrong with how it says so.
type appliedBody struct {
	*unstructured.Unstructured
	faults     error
	validation string
	// bad is why the body is none. That it has the form of YAML is looked at before anything else, the rest of it where it is merged.
	bad error
}

// readApplied reads the body, which is YAML or JSON, as it is: what it leaves out must stay left out.
func readApplied(c *call, o *metav1.PatchOptions, body []byte) (*appliedBody, error) {
	want := &appliedBody{Unstructured: &unstructured.Unstructured{Object: map[string]any{}}, validation: o.FieldValidation}
	if !plainJSON(body) || jsonv2.Unmarshal(body, &want.Object) != nil || want.Object == nil {
		want.Object = map[string]any{}
		if err := checkAliases(body); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
		if err := yaml.Unmarshal(body, &want.Object); err != nil {
			want.bad = apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
			return want, checkYAML(body)
		}
		want.faults = yaml.UnmarshalStrict(body, &map[string]any{})
	}
	if c.t.row.Custom != nil {
		keepWhole(want.Object)
	}
	return want, nil
}

// checkYAML refuses what is no YAML. What begins as JSON does is taken for that, and not looked at.
func checkYAML(body []byte) error {
	if bytes.HasPrefix(bytes.TrimLeftFunc(body, unicode.IsSpace), []byte("{")) {
		return nil
	}
	if _, err := yaml.YAMLToJSON(body); err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("error encoding patch: %v", err))
	}
	return nil
}

// keepWhole makes whole numbers of those that are: where no Go type says what a number is, that decides.
func keepWhole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = keepWhole(v[k])
		}
	case []any:
		for i := range v {
			v[i] = keepWhole(v[i])
		}
	case float64:
		if n := int64(v); float64(n) == v && math.Abs(v) < 1<<53 {
			return n
		}
	}
	return v
}

// judge refuses or warns of what the strict reader has found. That comes after the merge, which may find worse.
func (b *appliedBody) judge(c *call) error {
	switch {
	case b.faults == nil || b.validation == metav1.FieldValidationIgnore:
	case b.validation == metav1.FieldValidationStrict:
		return apierrors.NewBadRequest(fmt.Sprintf("error strict decoding patch: %v", b.faults))
	default:
		warnStrict(c, []error{b.faults})
	}
	return nil
}

// applied merges want into obj, which may be changed.
func (s *Server) applied(c *call, obj resource.Object, want *appliedBody, w writeOptions, force bool) (resource.Object, error) {
	if want.bad != nil {
		return nil, want.bad
	}
	next, err := s.fields.apply(c.t, c.t.sub, obj, want.Unstructured, w.manager, force)
	if err != nil {
		return nil, err
	}
	if err := unreadable(c.t, next); err != nil {
		return nil, fmt.Errorf("failed to convert to unversioned (%s/%s; %s): %w", want.GetNamespace(), want.GetName(), c.t.gvk(), err)
	}
	if err := want.judge(c); err != nil {
		return nil, err
	}
	if u := resource.AsCustom(next); u != nil {
		if err := customresource.TidyMetadata(u); err != nil {
			return nil, err
		}
	}
	if c.t.row.Default != nil {
		c.t.row.Default(next)
	}
	return next, checkName(c.t, next)
}

// insertByApply makes the object that an apply did not find.
func (s *Server) insertByApply(c *call, want *appliedBody, w writeOptions, force bool) (outcome, error) {
	if want.bad != nil {
		return outcome{}, want.bad
	}
	if uid := want.GetUID(); uid != "" {
		return outcome{}, apierrors.NewConflict(c.t.gr(), c.t.name, fmt.Errorf(
			"uid mismatch: the provided object specified uid %s, and no existing object was found", uid))
	}
	if err := s.require(c, "create"); err != nil {
		return outcome{}, err
	}
	empty := c.t.row.StorageVersion().New()
	empty.GetObjectKind().SetGroupVersionKind(c.t.row.GVK())
	obj, err := s.applied(c, empty, want, w, force)
	if err != nil {
		return outcome{}, err
	}
	return s.insert(c, c.t, obj, w)
}
