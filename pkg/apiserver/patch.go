package apiserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"bonsai/pkg/resource"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
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

// patchFunc makes the patched object.
type patchFunc struct {
	// do reads into next what the patch makes of current. If strictly, it also looks for what a strict reader finds wrong.
	do func(gvk schema.GroupVersionKind, current, next resource.Object, strictly bool) (patchFaults, error)
	// showsObject says that the patch is one of JSON, whose errors show the object, which then must be the whole one.
	showsObject bool
	// parts are what of the object the patch can change, by the names of its fields; nil if that cannot be told.
	parts map[string]bool
	// managedFields says that the patch names metadata.managedFields, or might.
	managedFields bool
}

// patchFaults are unknown and duplicate fields in what a patch makes of an object, and how the patch is shown to who sent it.
type patchFaults struct {
	strict []error
	patch  any
}

// readPatch reads what every request to patch says: the kind of patch, the options, and the patch itself.
func readPatch(c *call) (kind types.PatchType, o *metav1.PatchOptions, body []byte, err error) {
	if kind, err = patchKind(c); err != nil {
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
	p, err := patcher(kind, body)
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

// patchKind reads the Content-Type. Custom objects have no type that says which of their lists have keys.
func patchKind(c *call) (types.PatchType, error) {
	keyless := c.t.row.Custom != nil
	if text := c.r.Header.Get("Content-Type"); isPatchType(text) {
		text, _, _ = strings.Cut(text, ";")
		if kind := types.PatchType(text); kind != types.StrategicMergePatchType || !keyless {
			return kind, nil
		}
	}
	if keyless {
		return "", unsupportedPatch(types.JSONPatchType, types.MergePatchType, types.ApplyYAMLPatchType)
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

// patcher reads a patch once, however often it has to be tried. What is JSON, but no patch, is told who patches something that is there.
func patcher(kind types.PatchType, body []byte) (p patchFunc, err error) {
	switch kind {
	case types.JSONPatchType:
		p, err = jsonPatcher(body)
	case types.MergePatchType:
		p, err = mergePatcher(body)
	default:
		p, err = strategicPatcher(body)
	}
	if err != nil && !json.Valid(body) {
		return p, apierrors.NewBadRequest("invalid JSON patch")
	}
	if bad := err; bad != nil {
		p.do = func(schema.GroupVersionKind, resource.Object, resource.Object, bool) (patchFaults, error) {
			return patchFaults{}, bad
		}
	}
	return p, nil
}

func jsonPatcher(body []byte) (patchFunc, error) {
	p, err := jsonpatch.DecodePatch(body)
	switch {
	case err != nil:
		err = apierrors.NewBadRequest(err.Error())
	case len(p) > maxPatchOps:
		err = apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"The allowed maximum operations in a JSON patch is %d, got %d", maxPatchOps, len(p)))
	}
	if err != nil && !json.Valid(body) {
		return patchFunc{}, err
	}
	return patchFunc{showsObject: true, do: patchJSON(func() ([]error, error) { return faultyOps(body) }, func(before []byte) ([]byte, error) {
		if err != nil {
			return nil, err
		}
		after, err := applyOps(p, before)
		if err != nil {
			return nil, refused(err)
		}
		return after, nil
	})}, nil
}

// applyOps applies a JSON patch. The library panics where an operation on the whole object has no value, or null.
func applyOps(p jsonpatch.Patch, before []byte) (after []byte, err error) {
	defer func() {
		if recover() != nil {
			after, err = nil, errors.New("an operation on the whole object has no value")
		}
	}()
	return p.Apply(before)
}

// jsonPatchOp is an operation as its fields are judged.
type jsonPatchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

// faultyOps are the unknown and duplicate fields of a JSON patch's operations. Clients see what upstream calls their type.
func faultyOps(body []byte) ([]error, error) {
	var ops []jsonPatchOp
	strict, err := kjson.UnmarshalStrict(body, &ops)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "apiserver.jsonPatchOp", "handlers.jsonPatchOp"))
	}
	for i, e := range strict {
		strict[i] = fmt.Errorf("json patch %w", e)
	}
	return strict, nil
}

func mergePatcher(body []byte) (patchFunc, error) {
	p, faulty, err := readMerge(body)
	if err != nil {
		return p, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	var strict func() ([]error, error)
	if faulty {
		strict = func() ([]error, error) { return kjson.UnmarshalStrict(body, &map[string]any{}) }
	}
	p.showsObject = true
	p.do = patchJSON(strict, func(before []byte) ([]byte, error) {
		after, err := jsonpatch.MergePatch(before, body)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return after, nil
	})
	return p, nil
}

// patchJSON patches an object as the JSON that it is. strict finds what a strict reader finds wrong with the patch itself; nil if that is nothing.
func patchJSON(strict func() ([]error, error), do func(before []byte) ([]byte, error)) func(schema.GroupVersionKind, resource.Object, resource.Object, bool) (patchFaults, error) {
	return func(gvk schema.GroupVersionKind, current, next resource.Object, strictly bool) (f patchFaults, err error) {
		var own []error
		if strictly && strict != nil {
			if own, err = strict(); err != nil {
				return f, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
			}
		}
		before, err := resource.EncodeJSON(gvk, current)
		if err != nil {
			return f, err
		}
		after, err := do(before)
		if err != nil {
			return f, err
		}
		f.patch = string(after)
		if f.strict, _, err = unmarshalJSON(after, next, strictly); err != nil {
			return f, badPatch(string(after), err)
		}
		f.strict = append(own, f.strict...)
		return f, nil
	}
}

func strategicPatcher(body []byte) (patchFunc, error) {
	p, faulty, err := readMerge(body)
	if err != nil {
		return p, apierrors.NewBadRequest(err.Error())
	}
	p.do = func(gvk schema.GroupVersionKind, current, next resource.Object, strictly bool) (patchFaults, error) {
		current.GetObjectKind().SetGroupVersionKind(gvk)
		return strategicMerge(body, faulty, current, next, strictly)
	}
	return p, nil
}

// strategicMerge merges a patch into current, whose type says which lists have keys. The object becomes a map, and an object
// again, without having been JSON. faulty says that the patch may have fields twice.
func strategicMerge(body []byte, faulty bool, current, next resource.Object, strictly bool) (patchFaults, error) {
	var change map[string]any
	f := patchFaults{}
	var err error
	if strictly && faulty {
		f.strict, err = kjson.UnmarshalStrict(body, &change)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(body, &change)
	}
	if err != nil {
		return f, apierrors.NewBadRequest(err.Error())
	}
	before, err := runtime.DefaultUnstructuredConverter.ToUnstructured(current)
	if err != nil {
		return f, err
	}
	if err := affordable(change, before); err != nil {
		return f, err
	}
	after, err := strategicpatch.StrategicMergeMapPatch(before, change, current)
	if err != nil {
		return f, strategicError(err)
	}
	f.patch = change
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(after, next, strictly); err != nil {
		unknown, ok := runtime.AsStrictDecodingError(err)
		if !ok {
			return f, badPatch(fmt.Sprintf("%+v", change), err)
		}
		f.strict = append(f.strict, unknown.Errors()...)
	}
	return f, nil
}

// readMerge finds out which parts a patch of the shape of the object can change: those that it names, unless it has a directive
// ("$patch") for the whole. A faulty one may have fields twice.
func readMerge(body []byte) (p patchFunc, faulty bool, err error) {
	var top map[string]jsontext.Value
	if jsonv2.Unmarshal(body, &top) != nil { // the other readers know the words for the fault, or let it pass
		faulty, top = true, nil
		if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &map[string]any{}); err != nil {
			return p, faulty, err
		}
		if err := json.Unmarshal(body, &top); err != nil {
			return p, faulty, err
		}
	}
	p.parts = map[string]bool{}
	for name := range top {
		if strings.HasPrefix(name, "$") {
			return patchFunc{}, faulty, nil
		}
		p.parts[name] = true
	}
	meta := top["metadata"]
	p.managedFields = bytes.Contains(meta, []byte("managedFields")) || bytes.Contains(meta, []byte(`"$`)) || string(meta) == "null"
	return p, faulty, nil
}

// strategicError tells a bad patch from one that does not fit the object. What is left is, as upstream, a fault of the server's own.
func strategicError(err error) error {
	switch {
	case errors.Is(err, mergepatch.ErrBadJSONDoc), errors.Is(err, mergepatch.ErrBadPatchFormatForPrimitiveList),
		errors.Is(err, mergepatch.ErrBadPatchFormatForRetainKeys), errors.Is(err, mergepatch.ErrBadPatchFormatForSetElementOrderList),
		errors.Is(err, mergepatch.ErrUnsupportedStrategicMergePatchFormat):
		return apierrors.NewBadRequest(err.Error())
	case errors.Is(err, mergepatch.ErrNoListOfLists), errors.Is(err, mergepatch.ErrPatchContentNotMatchRetainKeys):
		return refused(err)
	}
	return err
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
	next := c.t.ver.New()
	faults, err := p.do(c.t.gvk(), shown, next, o.FieldValidation != metav1.FieldValidationIgnore)
	if u := resource.AsCustom(next); u != nil && err == nil {
		faults.strict, err = coercePatched(c, u, faults, o.FieldValidation)
	} else if err == nil && p.showsObject { // a strategic patch is merged whatever type it says it is of
		err = fitting(c.t.gvk(), next, faults)
	}
	if bad := unreadable(c.t, next); err == nil && bad != nil {
		if err = bad; p.showsObject {
			err = badPatch(fmt.Sprint(faults.patch), bad)
		}
	}
	refuses := err != nil || len(faults.strict) > 0 && o.FieldValidation == metav1.FieldValidationStrict
	switch {
	case refuses && p.parts != nil && p.showsObject:
		return s.merge(c, o, patchFunc{do: p.do, showsObject: true}, current)
	case errors.Is(err, errUnversioned):
		return nil, unversioned(c, o, faults)
	case err != nil:
		return nil, err
	}
	if err := judgePatch(c, o, faults); err != nil {
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

// coercePatched is coerceCustom for what a patch makes of an object.
func coercePatched(c *call, u *unstructured.Unstructured, f patchFaults, validation string) ([]error, error) {
	if err := checkCustomType(c.t, u); err != nil {
		return nil, err
	}
	strict, err := coerceCustom(c, u, f.strict, validation)
	if err != nil {
		return nil, badPatch(fmt.Sprint(f.patch), err)
	}
	return strict, nil
}

// fitting refuses a patched object that says it is of another kind, or of none.
func fitting(gvk schema.GroupVersionKind, next resource.Object, f patchFaults) error {
	claims := next.GetObjectKind().GroupVersionKind()
	if claims.Version == "" {
		if _, err := claimedType([]byte(fmt.Sprint(f.patch))); err != nil {
			return badPatch(fmt.Sprint(f.patch), err)
		}
		return errUnversioned
	}
	if err := misfit(completed(claims, gvk), gvk); err != nil {
		return badPatch(fmt.Sprint(f.patch), err)
	}
	next.GetObjectKind().SetGroupVersionKind(gvk)
	return nil
}

var errUnversioned = errors.New("the patched object does not say of what version it is")

// unversioned is upstream's refusal of such an object, which it reads as if none of its fields were known, its name included.
func unversioned(c *call, o *metav1.PatchOptions, f patchFaults) error {
	var fields map[string]jsontext.Value
	if err := jsonv2.Unmarshal([]byte(fmt.Sprint(f.patch)), &fields); err != nil {
		return err
	}
	f.strict = nil
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "apiVersion" && name != "kind" {
			f.strict = append(f.strict, fmt.Errorf("unknown field %q", name))
		}
	}
	if o.FieldValidation != metav1.FieldValidationIgnore {
		if err := judgePatch(c, o, f); err != nil {
			return err
		}
	}
	return undeterminable(c.t)
}

// judgePatch refuses or warns of unknown and duplicate fields in what a patch makes of the object.
func judgePatch(c *call, o *metav1.PatchOptions, f patchFaults) error {
	if len(f.strict) == 0 {
		return nil
	}
	if o.FieldValidation == metav1.FieldValidationStrict {
		return badPatch(fmt.Sprintf("%+v", f.patch), runtime.NewStrictDecodingError(f.strict))
	}
	for _, e := range f.strict {
		c.warn(e.Error())
	}
	return nil
}

func badPatch(value string, err error) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), value, err.Error())})
}
