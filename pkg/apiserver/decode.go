package apiserver

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"bonsai/pkg/resource"

	jsonv2 "github.com/go-json-experiment/json"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// maxBody is the most that a client may send at once; etcd takes half of it.
const maxBody = 3 << 20

// readBody reads the request's body, up to maxBody.
func readBody(c *call) ([]byte, error) {
	if c.r.Body == nil {
		return nil, nil
	}
	defer c.r.Body.Close()
	size := min(max(c.r.ContentLength, 512), maxBody)
	buf := make([]byte, 0, size+1)
	for {
		n, err := c.r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > maxBody {
			return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBody))
		}
		if err == io.EOF {
			c.bodySize, c.bodyRead = len(buf), true
			return buf, nil
		}
		if ended := c.ctx().Err(); err != nil && ended != nil {
			return nil, timedOut(ended)
		}
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("read the request's body: %v", err))
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// contentType returns the encoding of the request's body. Nothing said means JSON.
func contentType(r *http.Request) (media, error) {
	text := r.Header.Get("Content-Type")
	if text == "" || text == typeJSON {
		return mediaJSON, nil
	}
	mediaType, _, err := mime.ParseMediaType(text)
	switch {
	case err != nil:
	case mediaType == typeJSON:
		return mediaJSON, nil
	case mediaType == typeYAML:
		return mediaYAML, nil
	case mediaType == typeProtobuf:
		return mediaProtobuf, nil
	}
	return 0, unsupportedMedia(typeJSON, typeYAML, typeProtobuf)
}

func unsupportedMedia(accepted ...string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: "the body of the request was in an unknown format - accepted media types include: " + strings.Join(accepted, ", "),
	}}
}

// decode reads the body as an object of the version that the URL names, fills in its defaults, and returns it at
// the storage version.
func (s *Server) decode(c *call, validation string) (resource.Object, error) {
	m, body, err := sent(c)
	if err != nil {
		return nil, err
	}
	return s.decodeBody(c, m, body, validation)
}

// decodeBody is decode of a body that is read already.
func (s *Server) decodeBody(c *call, m media, body []byte, validation string) (resource.Object, error) {
	obj := c.t.ver.New()
	if err := decodeAs(c, m, body, obj, c.t.gvk(), validation); err != nil {
		return nil, err
	}
	if err := unreadable(c.t, obj); err != nil {
		return nil, undecodable(err, c.t.row.Kind, c.t.gvk(), nil)
	}
	obj, err := toStorage(c.t, obj)
	if err == nil && c.record.WantsRequest() { // with its defaults, as upstream records it
		if sent, err := fromStorage(c.t, obj.DeepCopyObject().(resource.Object)); err == nil {
			c.recordRequest(c.t.gvk(), sent)
		}
	}
	return obj, err
}

// unreadable is why obj cannot be read although it has the form of its kind.
func unreadable(t *target, obj resource.Object) error {
	if t.row.Unreadable == nil {
		return nil
	}
	return t.row.Unreadable(obj)
}

// sent is the body of c, and its encoding.
func sent(c *call) (media, []byte, error) {
	m, err := contentType(c.r)
	if err != nil {
		return 0, nil, err
	}
	body, err := readBody(c)
	return m, body, err
}

// toStorage fills in obj's defaults and converts it to the storage version.
func toStorage(t *target, obj resource.Object) (resource.Object, error) {
	if t.ver.ToStorage != nil {
		var err error
		if obj, err = t.ver.ToStorage(obj); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(t.row.GVK())
	if t.row.Default != nil {
		t.row.Default(obj)
	}
	return obj, nil
}

// decodeInto reads the body into obj, which is of type want.
func (s *Server) decodeInto(c *call, obj runtime.Object, want schema.GroupVersionKind, validation string) error {
	m, body, err := sent(c)
	if err != nil {
		return err
	}
	return decodeAs(c, m, body, obj, want, validation)
}

// decodeAs is decodeInto of a body that is read already.
func decodeAs(c *call, m media, body []byte, obj runtime.Object, want schema.GroupVersionKind, validation string) error {
	if u := resource.AsCustom(obj); u != nil && m == mediaProtobuf {
		return unsupportedMedia(typeJSON, typeYAML)
	}
	strict, got, err := unmarshal(m, body, obj, validation != metav1.FieldValidationIgnore)
	if err != nil {
		if c.t.row.Custom == nil || got.Kind != "" {
			got = claimed(err, got, want)
		}
		if resource.AsCustom(obj) == nil && got.Kind != "" && got != want {
			err = cmp.Or(faultOf(m, body, got, want), misfit(got, want), err)
		}
		return undecodable(err, want.Kind, got, body)
	}
	if u := resource.AsCustom(obj); u != nil {
		if err := readCustom(c, u, strict, validation); err != nil {
			return err
		}
		c.recordRequest(want, obj)
		return nil
	}
	if says, err := checkType(got, want); err != nil {
		if bad := faultOf(m, body, says, want); bad != nil {
			err = undecodable(bad, want.Kind, says, nil)
		}
		return err
	}
	got = completed(got, want)
	obj.GetObjectKind().SetGroupVersionKind(want)
	if err := judgeStrict(c, strict, validation, want.Kind, got); err != nil {
		return err
	}
	c.recordRequest(want, obj)
	return nil
}

// judgeStrict refuses or warns of what a strict reader finds wrong.
func judgeStrict(c *call, strict []error, validation, kind string, got schema.GroupVersionKind) error {
	if len(strict) == 0 {
		return nil
	}
	if validation == metav1.FieldValidationStrict {
		return undecodable(runtime.NewStrictDecodingError(strict), kind, got, nil)
	}
	warnStrict(c, strict)
	return nil
}

// warnStrict warns of what a strict reader finds wrong: of each line that a reader of YAML complains of by itself.
func warnStrict(c *call, strict []error) {
	for _, e := range strict {
		for line := range strings.SplitSeq(e.Error(), "\n") {
			if !strings.HasSuffix(line, "yaml: unmarshal errors:") {
				c.warn(strings.TrimSpace(line))
			}
		}
	}
}

// unmarshal decodes body. strict are the unknown and the duplicate fields; got is the type that the body claims.
func unmarshal(m media, body []byte, obj runtime.Object, findStrict bool) (strict []error, got schema.GroupVersionKind, err error) {
	switch m {
	case mediaProtobuf:
		got, err = unmarshalProtobuf(body, obj)
		return nil, got, err
	case mediaYAML:
		return unmarshalYAML(body, obj, findStrict)
	}
	return unmarshalJSON(body, obj, findStrict)
}

func unmarshalYAML(body []byte, obj runtime.Object, findStrict bool) (strict []error, got schema.GroupVersionKind, err error) {
	if err := checkAliases(body); err != nil {
		return nil, got, untyped{err}
	}
	text, err := yaml.YAMLToJSONStrict(body)
	if err != nil {
		if findStrict {
			strict = append(strict, err)
		}
		if text, err = yaml.YAMLToJSON(body); err != nil {
			return nil, got, untyped{err}
		}
	}
	more, got, err := unmarshalJSON(text, obj, findStrict)
	if none := (kindless)(nil); errors.As(err, &none) {
		err = kindless(body)
	}
	return append(strict, more...), got, err
}

func unmarshalJSON(body []byte, obj runtime.Object, findStrict bool) (strict []error, got schema.GroupVersionKind, err error) {
	if len(body) == 0 {
		return nil, got, untyped{errors.New("couldn't get version/kind; json parse error: unexpected end of JSON input")}
	}
	if u := resource.AsCustom(obj); u != nil {
		return unmarshalCustom(body, u, findStrict)
	}
	if faultless(body, obj) {
		got, err := typeOf(obj, body)
		return nil, got, err
	}
	if findStrict {
		strict, err = kjson.UnmarshalStrict(body, obj)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(body, obj)
	}
	if err == nil {
		got, err := typeOf(obj, body)
		return strict, got, err
	}
	got, unreadable := claimedType(body)
	if unreadable != nil {
		return nil, got, unreadable
	}
	return nil, got, err
}

// typeOf is the type that obj says it is of, which has been read from body. The version is looked at again if it is none.
func typeOf(obj runtime.Object, body []byte) (schema.GroupVersionKind, error) {
	got := obj.GetObjectKind().GroupVersionKind()
	if got.Version != "" || !bytes.Contains(body, []byte("apiVersion")) {
		return got, nil
	}
	return claimedType(body)
}

// untyped is what is wrong with a body that does not even say of what type it is.
type untyped struct{ error }

// claimedType reads the type alone that a body claims to be of.
func claimedType(body []byte) (schema.GroupVersionKind, error) {
	var claimed struct { // clients see how this type is written
		APIVersion string `json:"apiVersion,omitempty"`
		Kind       string `json:"kind,omitempty"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, &claimed); err != nil {
		return schema.GroupVersionKind{}, untyped{fmt.Errorf("couldn't get version/kind; json parse error: %w", err)}
	}
	gv, err := schema.ParseGroupVersion(claimed.APIVersion)
	if err != nil {
		return schema.GroupVersionKind{}, untyped{err}
	}
	return gv.WithKind(claimed.Kind), nil
}

// faultless decodes a body that has no faults, in half of the time that the reader takes which knows upstream's words for them. If it
// finds any (a field that is unknown or comes twice, another type, letters that are none), obj is left empty.
func faultless(body []byte, obj runtime.Object) bool {
	if _, own := obj.(json.Unmarshaler); own { // it would hide what is inside from the search for faults
		return false
	}
	if jsonv2.Unmarshal(body, obj, noUnknown) == nil {
		return true
	}
	reflect.ValueOf(obj).Elem().SetZero()
	return false
}

var noUnknown = jsonv2.RejectUnknownMembers(true)

func unmarshalProtobuf(body []byte, obj runtime.Object) (schema.GroupVersionKind, error) {
	got, raw, err := resource.TypeOf(body)
	if err != nil {
		return got, untyped{err}
	}
	m, ok := obj.(interface{ Unmarshal([]byte) error })
	if !ok {
		return got, fmt.Errorf("%T has no protobuf encoding", obj)
	}
	if err := resource.CheckDepth(obj, raw); err != nil {
		return got, err
	}
	return got, m.Unmarshal(raw)
}

// checkType refuses a body that claims another type than the URL names. What it does not claim is taken from the URL.
func checkType(got, want schema.GroupVersionKind) (schema.GroupVersionKind, error) {
	got = completed(got, want)
	switch {
	case got == want:
		return got, nil
	case want == evictionGVK && got == oldEvictionGVK:
		return got, nil // the one thing that is left of that version, and the same in both
	case got.Kind == want.Kind && knows(got, want):
		return got, apierrors.NewBadRequest(fmt.Sprintf(
			"the API version in the data (%s) does not match the expected API version (%s)", got.GroupVersion(), want.GroupVersion()))
	}
	return got, undecodable(misfit(got, want), want.Kind, got, nil)
}

// faultOf is what is wrong with a body as an object of the type that it claims to be of, which is looked for before that it is not the one
// that is wanted: that there is no such type, or that it cannot be read as one. It is nil if there is nothing.
func faultOf(m media, body []byte, got, want schema.GroupVersionKind) error {
	if !knows(got, want) {
		return notRegistered(got, schemeOfKinds)
	}
	other, err := scheme.Scheme.New(got)
	if err != nil {
		return nil
	}
	_, _, err = unmarshal(m, body, other, false)
	return err
}

// misfit says why an object of the type got is none of the type want; nil if it is one, in whatever version.
func misfit(got, want schema.GroupVersionKind) error {
	switch {
	case !knows(got, want):
		return notRegistered(got, schemeOfKinds)
	case got.Kind != want.Kind:
		return fmt.Errorf("converting (%s.%s) to (%s): unknown conversion", got.Version, got.Kind, internalName(want))
	}
	return nil
}

// The schemes that upstream's messages name: that of all kinds, and that of options.
const (
	schemeOfKinds   = "pkg/api/legacyscheme/scheme.go:30"
	schemeOfOptions = "pkg/apis/meta/internalversion/scheme/register.go:27"
)

func notRegistered(gvk schema.GroupVersionKind, scheme string) error {
	return fmt.Errorf("no kind %q is registered for version %q in scheme %q", gvk.Kind, gvk.GroupVersion(), scheme)
}

// completed is got with what it leaves out taken from want.
func completed(got, want schema.GroupVersionKind) schema.GroupVersionKind {
	if got.Kind == "" {
		got.Kind = want.Kind
	}
	if got.Version == "" {
		got.Group, got.Version = want.Group, want.Version
	}
	return got
}

// claimed is the type to name in an error about a body: none if it did not come to that.
func claimed(err error, got, want schema.GroupVersionKind) schema.GroupVersionKind {
	if errors.As(err, &untyped{}) {
		return schema.GroupVersionKind{}
	}
	return completed(got, want)
}

// knows tells whether upstream's server for the kind want has heard of the kind got, served or not. Those of definitions and of other
// servers are other parts than the rest, and no part has heard of what users define.
func knows(got, want schema.GroupVersionKind) bool {
	if scheme.Scheme.Recognizes(want) {
		return scheme.Scheme.Recognizes(got)
	}
	return got.Group == want.Group && got.Kind == want.Kind
}

var (
	evictionGVK    = policyv1.SchemeGroupVersion.WithKind("Eviction")
	oldEvictionGVK = schema.GroupVersionKind{Group: policyv1.GroupName, Version: "v1beta1", Kind: "Eviction"}
)

// internalName is what upstream calls the type that it works on: that of the group's own package.
func internalName(gvk schema.GroupVersionKind) string {
	pkg, _, _ := strings.Cut(gvk.Group, ".")
	switch gvk.Group {
	case "", "events.k8s.io":
		pkg = "core"
	case "internal.apiserver.k8s.io":
		pkg = "apiserverinternal"
	}
	return pkg + "." + gvk.Kind
}

// undecodable is upstream's refusal of a body that is no object of the kind.
func undecodable(err error, kind string, got schema.GroupVersionKind, body []byte) error {
	if got.Kind != "" {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", got.Kind, got.Version, kind, err))
	}
	return apierrors.NewBadRequest(fmt.Sprintf(
		"the object provided is unrecognized (must be of type %s): %v (%s)", kind, err, summary(body)))
}

// summary shows the beginning of a body in an error.
func summary(body []byte) string {
	const most = 30
	text := func(b []byte) string { return hex.EncodeToString(b) }
	switch {
	case len(body) == 0:
		return "<empty>"
	case body[0] == '{':
		text = func(b []byte) string { return string(b) }
	}
	if len(body) > most {
		return text(body[:most]) + " ..."
	}
	return text(body)
}
