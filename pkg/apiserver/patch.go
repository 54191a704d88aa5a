package apiserver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
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
	kjson "sigs.k8s.io/json"
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
	// strict are the faults of the patch itself; those of what it makes of an object come later.
	strict []error
	// shown is the patch in errors about what it makes of an object; nil if the object is shown.
	shown []byte
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
	p, err := patcher(kind, body, o.FieldValidation)
	if err != nil {
		return err
	}
	w := writeOptions{options: o, dryRun: len(o.DryRun) > 0, manager: managerOf(o.FieldManager, c.r)}
	e := s.edit(c, w)
	e.next = func(old resource.Object) (resource.Object, error) { return s.patched(c, o, p, old) }
	out, err := s.change(c, c.t, e)
	if err != nil {
		return err
	}
	return s.answerOutcome(c, http.StatusOK, out)
}

// patchKind reads the Content-Type.
func patchKind(r *http.Request) (types.PatchType, error) {
	if text := r.Header.Get("Content-Type"); isPatchType(text) {
		text, _, _ = strings.Cut(text, ";")
		return types.PatchType(text), nil
	}
	return "", unsupportedPatch(types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType)
}

// isPatchType tells whether a Content-Type is that of a patch. Its parameters mean nothing, even if they are none.
func isPatchType(contentType string) bool {
	text, _, _ := strings.Cut(contentType, ";")
	switch types.PatchType(text) {
	case types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType:
		return true
	}
	return false
}

func unsupportedPatch(supported ...types.PatchType) error {
	names := make([]string, len(supported))
	for i, t := range supported {
		names[i] = string(t)
	}
	return unsupportedMedia(names...)
}

// patcher reads a patch once, however often it has to be tried.
func patcher(kind types.PatchType, body []byte, validation string) (patchFunc, error) {
	switch kind {
	case types.JSONPatchType:
		return jsonPatcher(body, validation)
	case types.MergePatchType:
		return mergePatcher(body)
	}
	return strategicPatcher(body)
}

// jsonPatchOp is an operation as its fields are judged.
type jsonPatchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

func jsonPatcher(body []byte, validation string) (patchFunc, error) {
	var f patchFunc
	if !json.Valid(body) {
		return f, errNotJSON
	}
	if validation != metav1.FieldValidationIgnore {
		var ops []jsonPatchOp
		strict, err := kjson.UnmarshalStrict(body, &ops)
		if err != nil { // clients see what upstream calls the type
			return f, apierrors.NewBadRequest("error decoding patch: " + strings.ReplaceAll(err.Error(), "apiserver.jsonPatchOp", "handlers.jsonPatchOp"))
		}
		for _, e := range strict {
			f.strict = append(f.strict, fmt.Errorf("json patch %w", e))
		}
	}
	p, err := jsonpatch.DecodePatch(body)
	if err != nil {
		return f, apierrors.NewBadRequest(err.Error())
	}
	if len(p) > maxPatchOps {
		return f, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", maxPatchOps, len(p)))
	}
	f.do = func(gvk schema.GroupVersionKind, current resource.Object) ([]byte, error) {
		before, err := resource.EncodeJSON(gvk, current)
		if err != nil {
			return nil, err
		}
		out, err := p.Apply(before)
		if err != nil {
			return nil, refused(err)
		}
		return out, nil
	}
	return f, nil
}

func mergePatcher(body []byte) (patchFunc, error) {
	p, err := readMerge(body)
	if err != nil {
		return p, badMerge(body, "error decoding patch: ", err)
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
		return p, badMerge(body, "", err)
	}
	p.shown = body
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
	var p patchFunc
	var top map[string]jsontext.Value
	if jsonv2.Unmarshal(body, &top) != nil { // which has a fault: the other reader knows the words for it, or lets it pass
		top = nil
		var all map[string]any
		var err error
		if p.strict, err = kjson.UnmarshalStrict(body, &all); err != nil {
			return p, err
		}
		if err := json.Unmarshal(body, &top); err != nil {
			return p, err
		}
	}
	parts := map[string]bool{}
	for name := range top {
		if strings.HasPrefix(name, "$") {
			return p, nil
		}
		parts[name] = true
	}
	p.parts = parts
	meta := top["metadata"]
	p.managedFields = bytes.Contains(meta, []byte("managedFields")) || bytes.Contains(meta, []byte(`"$`)) || string(meta) == "null"
	return p, nil
}

// badMerge is the refusal of a body that readMerge could not read.
func badMerge(body []byte, prefix string, err error) error {
	if !json.Valid(body) {
		return errNotJSON
	}
	return apierrors.NewBadRequest(prefix + err.Error())
}

var errNotJSON = apierrors.NewBadRequest("invalid JSON patch")

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
	// Upstream takes what is wrong with a patch's directives for its own mistake.
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}}
}

// patched applies a patch to old, and reads the result like any body of a client.
func (s *Server) patched(c *call, o *metav1.PatchOptions, p patchFunc, old resource.Object) (resource.Object, error) {
	current, err := fromStorage(c.t, old.DeepCopyObject().(resource.Object))
	if err != nil {
		return nil, err
	}
	next, err := s.merge(c, o, p, current)
	if err != nil {
		return nil, err
	}
	if next, err = toStorage(c.t, next); err != nil {
		return nil, err
	}
	return next, checkName(c.t, next)
}

// merge applies a patch to what it can change of current, and puts the rest back.
func (s *Server) merge(c *call, o *metav1.PatchOptions, p patchFunc, current resource.Object) (resource.Object, error) {
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
	next, strict, err := s.readPatched(c, o, p, after)
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return nil, err
	}
	wrong := err
	if err == nil && len(strict) > 0 && o.FieldValidation == metav1.FieldValidationStrict {
		wrong = runtime.NewStrictDecodingError(strict)
	}
	switch {
	case wrong == nil:
	case p.shown != nil:
		return nil, badPatch(patchText(p.shown), wrong)
	case p.parts != nil:
		return s.merge(c, o, patchFunc{do: p.do, strict: p.strict}, current) // the error shows the whole object
	default:
		return nil, badPatch(string(after), wrong)
	}
	if o.FieldValidation != metav1.FieldValidationIgnore {
		warnStrict(c, strict)
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

// readPatched reads what a patch has made of an object. strict are all unknown and duplicate fields, those of the patch first.
func (s *Server) readPatched(c *call, o *metav1.PatchOptions, p patchFunc, after []byte) (next resource.Object, strict []error, err error) {
	next = c.t.ver.New()
	found, got, err := unmarshalJSON(after, next, o.FieldValidation != metav1.FieldValidationIgnore)
	if err != nil {
		return nil, nil, unfit(err, p, after, next)
	}
	strict = append(slices.Clone(p.strict), found...)
	if u := resource.AsCustom(next); u != nil {
		strict, err = coerceCustom(c, u, strict, o.FieldValidation)
		return next, strict, err
	}
	if p.shown == nil { // a strategic patch is for the Go type, so that the names of the type mean nothing
		err = c.kinds.misfit(completed(got, c.t.gvk()), c.t.gvk())
	}
	next.GetObjectKind().SetGroupVersionKind(c.t.gvk())
	return next, strict, err
}

// unfit says in upstream's words why the result of a strategic patch is no object of its kind: it is not read as text there.
func unfit(err error, p patchFunc, after []byte, obj runtime.Object) error {
	var fields map[string]any
	if p.shown == nil || kjson.UnmarshalCaseSensitivePreserveInts(after, &fields) != nil {
		return err
	}
	reflect.ValueOf(obj).Elem().SetZero()
	return cmp.Or(runtime.DefaultUnstructuredConverter.FromUnstructured(fields, obj), err)
}

// patchText shows a patch in an error the way upstream does: as the map that it is.
func patchText(body []byte) string {
	var m map[string]any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &m); err != nil {
		return string(body)
	}
	return fmt.Sprintf("%+v", m)
}

func badPatch(value string, err error) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), value, err.Error())})
}
