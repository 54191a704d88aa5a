package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"bonsai/pkg/resource"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxPatchOps bounds the work that one small JSON patch can ask for.
const maxPatchOps = 10000

// A patch of a few hundred bytes can copy a value into itself until it fills the memory; what all its copies add may not be more than
// what a client may send. The library has this limit for the whole process only.
func init() { jsonpatch.AccumulatedCopySizeLimit = maxBody }

// patchFunc turns an object into the patched JSON.
type patchFunc struct {
	do func(gvk schema.GroupVersionKind, current resource.Object) ([]byte, error)
	// parts are what of the object the patch can change, by the names of its fields; nil if that cannot be told.
	parts map[string]bool
	// managedFields says that the patch names metadata.managedFields, or might.
	managedFields bool
}

// readPatch reads what every request to patch says: the kind of patch, the options, and the patch itself.
func readPatch(c *call) (kind types.PatchType, o *metav1.PatchOptions, body []byte, err error) {
	if kind, err = patchKind(c.r); err != nil {
		return kind, nil, nil, err
	}
	if o, err = patchOptions(c, kind); err != nil {
		return kind, nil, nil, err
	}
	if body, err = readBody(c); err == nil && c.record.WantsRequest() {
		c.recordPatch(kind, body)
	}
	return kind, o, body, err
}

// patch changes an object by one of the kinds of patch: JSON patch, merge patch, strategic merge patch, or apply.
func (s *Server) patch(c *call) error {
	kind, o, body, err := readPatch(c)
	if err != nil {
		return err
	}
	if kind == types.ApplyYAMLPatchType {
		return s.apply(c, o, body)
	}
	if kind == types.StrategicMergePatchType && c.t.row.Custom != nil {
		return unsupportedPatch(types.JSONPatchType, types.MergePatchType, types.ApplyYAMLPatchType)
	}
	p, err := patcher(kind, body)
	if err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	e := s.edit(c, w)
	e.next = func(old resource.Object) (resource.Object, error) { return s.patched(c, o, body, p, old) }
	out, err := s.change(c, c.t, e)
	if err != nil {
		return err
	}
	return s.answerOutcome(c, http.StatusOK, out)
}

// patchKind reads the Content-Type.
func patchKind(r *http.Request) (types.PatchType, error) {
	text, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind := types.PatchType(text); kind {
	case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType:
		if err == nil {
			return kind, nil
		}
	}
	return "", unsupportedPatch(types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType)
}

func unsupportedPatch(supported ...types.PatchType) error {
	names := make([]string, len(supported))
	for i, t := range supported {
		names[i] = string(t)
	}
	return unsupportedMedia(names...)
}

// patcher reads a patch once, however often it has to be tried.
func patcher(kind types.PatchType, body []byte) (patchFunc, error) {
	switch kind {
	case types.JSONPatchType:
		return jsonPatcher(body)
	case types.MergePatchType:
		return mergePatcher(body)
	}
	return strategicPatcher(body)
}

func jsonPatcher(body []byte) (patchFunc, error) {
	p, err := jsonpatch.DecodePatch(body)
	if err != nil {
		return patchFunc{}, apierrors.NewBadRequest(err.Error())
	}
	if len(p) > maxPatchOps {
		return patchFunc{}, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", maxPatchOps, len(p)))
	}
	return patchFunc{do: func(gvk schema.GroupVersionKind, current resource.Object) ([]byte, error) {
		before, err := resource.EncodeJSON(gvk, current)
		if err != nil {
			return nil, err
		}
		out, err := p.Apply(before)
		if err != nil {
			return nil, refused(err)
		}
		return out, nil
	}}, nil
}

func mergePatcher(body []byte) (patchFunc, error) {
	p, err := readMerge(body)
	if err != nil {
		return p, err
	}
	p.do = func(gvk schema.GroupVersionKind, current resource.Object) ([]byte, error) {
		before, err := resource.EncodeJSON(gvk, current)
		if err != nil {
			return nil, err
		}
		out, err := jsonpatch.MergePatch(before, body)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return out, nil
	}
	return p, nil
}

func strategicPatcher(body []byte) (patchFunc, error) {
	p, err := readMerge(body)
	if err != nil {
		return p, err
	}
	p.do = func(gvk schema.GroupVersionKind, current resource.Object) ([]byte, error) {
		current.GetObjectKind().SetGroupVersionKind(gvk)
		out, err := strategicMerge(current, body)
		return out, strategicError(err)
	}
	return p, nil
}

// strategicMerge merges a patch into obj, whose type says which lists have keys. The object becomes a map without having been JSON.
func strategicMerge(obj resource.Object, body []byte) ([]byte, error) {
	var change map[string]any
	if err := utiljson.Unmarshal(body, &change); err != nil {
		return nil, mergepatch.ErrBadJSONDoc
	}
	current, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergeMapPatch(current, change, obj)
	if err != nil {
		return nil, err
	}
	return json.Marshal(merged)
}

// readMerge finds out which parts a patch of the shape of the object can change: those that it names, unless it has a directive
// ("$patch") for the whole.
func readMerge(body []byte) (patchFunc, error) {
	var top map[string]jsontext.Value
	if jsonv2.Unmarshal(body, &top) != nil { // which has a fault: the other reader knows the words for it, or lets it pass
		top = nil
		if err := json.Unmarshal(body, &top); err != nil {
			return patchFunc{}, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
	}
	p := patchFunc{parts: map[string]bool{}}
	for name := range top {
		if strings.HasPrefix(name, "$") {
			return patchFunc{}, nil
		}
		p.parts[name] = true
	}
	meta := top["metadata"]
	p.managedFields = bytes.Contains(meta, []byte("managedFields")) || bytes.Contains(meta, []byte(`"$`)) || string(meta) == "null"
	return p, nil
}

// strategicError tells a bad patch from one that does not fit the object.
func strategicError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mergepatch.ErrBadJSONDoc), errors.Is(err, mergepatch.ErrBadPatchFormatForPrimitiveList),
		errors.Is(err, mergepatch.ErrBadPatchFormatForRetainKeys), errors.Is(err, mergepatch.ErrBadPatchFormatForSetElementOrderList),
		errors.Is(err, mergepatch.ErrUnsupportedStrategicMergePatchFormat):
		return apierrors.NewBadRequest(err.Error())
	}
	return refused(err)
}

// patched applies a patch to old, and reads the result like any body of a client.
func (s *Server) patched(c *call, o *metav1.PatchOptions, body []byte, p patchFunc, old resource.Object) (resource.Object, error) {
	current, err := fromStorage(c.t, old.DeepCopyObject().(resource.Object))
	if err != nil {
		return nil, err
	}
	next, err := s.merge(c, o, body, p, current)
	if err != nil {
		return nil, err
	}
	if next, err = toStorage(c.t, next); err != nil {
		return nil, err
	}
	return next, checkName(c.t, next)
}

// merge applies a patch to what it can change of current, and puts the rest back.
func (s *Server) merge(c *call, o *metav1.PatchOptions, body []byte, p patchFunc, current resource.Object) (resource.Object, error) {
	shown, bare := current, p.parts != nil && !p.parts["metadata"] && c.t.row.Custom == nil
	if p.parts != nil {
		shown = without(current, func(name string, _ int) bool { return !p.parts[name] })
		if bare {
			metadataOf(shown).SetZero()
		} else if !p.managedFields {
			shown.SetManagedFields(nil)
		}
	}
	after, err := p.do(c.t.gvk(), shown)
	if err != nil {
		return nil, err
	}
	next := c.t.ver.New()
	strict, got, err := unmarshalJSON(after, next, o.FieldValidation != metav1.FieldValidationIgnore)
	switch {
	case err != nil && p.parts != nil:
		return s.merge(c, o, body, patchFunc{do: p.do}, current) // the error shows the whole object
	case err != nil:
		return nil, badPatch(string(after), err)
	}
	if u := resource.AsCustom(next); u != nil {
		strict, err = coerceCustom(c, u, strict, o.FieldValidation)
	} else {
		_, err = c.kinds.checkType(got, c.t.gvk())
	}
	if err != nil {
		return nil, err
	}
	if err := judgePatch(c, o, body, strict); err != nil {
		return nil, err
	}
	if p.parts != nil {
		fill(next, current, p.parts)
		if bare {
			metadataOf(next).Set(metadataOf(current))
		} else if !p.managedFields {
			next.SetManagedFields(current.GetManagedFields())
		}
	}
	return next, nil
}

// judgePatch refuses or warns of unknown and duplicate fields in what a patch makes of the object.
func judgePatch(c *call, o *metav1.PatchOptions, body []byte, strict []error) error {
	if len(strict) == 0 {
		return nil
	}
	if o.FieldValidation == metav1.FieldValidationStrict {
		return badPatch(patchText(body), runtime.NewStrictDecodingError(strict))
	}
	for _, e := range strict {
		c.warn(e.Error())
	}
	return nil
}

// patchText shows a patch in an error the way upstream does: as the map that it is.
func patchText(body []byte) string {
	var m any
	if err := json.Unmarshal(body, &m); err != nil {
		return string(body)
	}
	return fmt.Sprintf("%+v", m)
}

func badPatch(value string, err error) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), value, err.Error())})
}
