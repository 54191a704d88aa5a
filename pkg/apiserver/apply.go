package apiserver

import (
	"fmt"
	"net/http"

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

// readApplied reads the body, which is YAML or JSON, as it is: what it leaves out must stay left out.
func readApplied(c *call, o *metav1.PatchOptions, body []byte) (*unstructured.Unstructured, error) {
	want := &unstructured.Unstructured{Object: map[string]any{}}
	if plainJSON(body) && jsonv2.Unmarshal(body, &want.Object) == nil && want.Object != nil {
		return want, nil
	}
	want.Object = map[string]any{}
	err := checkAliases(body)
	if err == nil {
		err = yaml.Unmarshal(body, &want.Object)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	if err := yaml.UnmarshalStrict(body, &map[string]any{}); err != nil {
		switch o.FieldValidation {
		case metav1.FieldValidationStrict:
			return nil, apierrors.NewBadRequest(fmt.Sprintf("error strict decoding YAML: %v", err))
		case metav1.FieldValidationIgnore:
		default:
			c.warn(err.Error())
		}
	}
	return want, nil
}

// applied merges want into obj, which may be changed.
func (s *Server) applied(c *call, obj resource.Object, want *unstructured.Unstructured, w writeOptions, force bool) (resource.Object, error) {
	next, err := s.fields.apply(c.t, c.t.sub, obj, want, w.manager, force)
	if err != nil {
		return nil, err
	}
	if c.t.row.Default != nil {
		c.t.row.Default(next)
	}
	return next, checkName(c.t, next)
}

// insertByApply makes the object that an apply did not find.
func (s *Server) insertByApply(c *call, want *unstructured.Unstructured, w writeOptions, force bool) (outcome, error) {
	if uid := want.GetUID(); uid != "" {
		return outcome{}, uidConflict(c.t, string(uid), "")
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
