package apiserver

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/munnerz/goautoneg"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Negotiation picks, from the Accept header, an encoding (JSON, YAML, protobuf) and a shape: the objects themselves,
// a Table of them (kubectl get), or their metadata only (metadata informers). The header is a list of wishes, best
// first or ordered by q; the first that the server can fulfil is taken.

type media int

const (
	mediaJSON media = iota
	mediaYAML
	mediaProtobuf
)

const (
	typeJSON     = "application/json"
	typeYAML     = "application/yaml"
	typeProtobuf = "application/vnd.kubernetes.protobuf"
)

// shape is what becomes of the objects.
type shape int

const (
	whole       shape = iota
	asTable           // one Table
	partial           // PartialObjectMetadata
	partialList       // PartialObjectMetadataList
)

// format is the outcome of negotiation.
type format struct {
	media  media
	shape  shape
	as     schema.GroupVersion // of shape: meta.k8s.io/v1 or v1beta1
	pretty bool
}

// contentType is the format's name in the answer's header.
func (f format) contentType() string {
	return [...]string{typeJSON, typeYAML, typeProtobuf}[f.media]
}

// plain tells whether the kept bytes can be sent as they are.
func (f format) plain() bool { return f.shape == whole && f.media != mediaYAML && !f.pretty }

// negotiate reads the Accept header. allowed are the shapes that the answer could take,
// will says whether there is such an encoding.
func negotiate(r *http.Request, will func(format) bool, allowed ...shape) (format, error) {
	for _, w := range wishes(r.Header.Get("Accept")) {
		if f, ok := w.format(allowed); ok && will(f) {
			f.pretty = f.media == mediaJSON && (f.pretty || wantsPretty(r))
			return f, nil
		}
	}
	return format{}, notAcceptable()
}

// anyFormat is the will to answer in any.
func anyFormat(format) bool { return true }

// notOfShape is the refusal of the metadata of one object where there are several, or the other way round.
func (c *call) notOfShape() error {
	if c.t.row.Custom != nil && c.t.verb != "list" && c.t.sub != "scale" {
		if f, err := negotiate(c.r, c.canEncode, partialList); err == nil && f.shape == partialList {
			return errors.New("content is not a list") // which makes a 500 of it, as upstream
		}
	}
	listed := c.t.verb == "list" || c.t.verb == "deletecollection"
	shapes := map[bool]shape{true: partial, false: partialList}
	if c.t.verb == "watch" || c.t.verb == "delete" || c.t.row.Custom != nil {
		return nil
	}
	if f, err := negotiate(c.r, c.canEncode, shapes[listed]); err != nil || f.shape == whole {
		return nil
	}
	wanted, is, name := "PartialObjectMetadataList", "not a list", internalName(c.t.gvk())
	if c.t.sub == "scale" {
		name = internalName(scaleGVK)
	}
	if listed {
		wanted, is, name = "PartialObjectMetadata", "a list", name+"List"
	}
	err := notAcceptable().(*apierrors.StatusError)
	err.ErrStatus.Message = fmt.Sprintf("you requested %s, but the requested object is %s (*%s)", wanted, is, name)
	return err
}

// negotiate finds out how the client wants the answer to a request for a resource.
func (c *call) negotiate() (err error) {
	switch {
	case c.t.sub == "log":
		c.f, err = negotiate(c.r, anyFormat) // as if the log were an object, whose text it is in the end
	case c.t.longRunning() && c.t.verb != "watch":
		return nil // the answer is somebody else's
	case c.t.verb == "list", c.t.verb == "deletecollection":
		c.f, err = negotiate(c.r, c.canEncode, asTable, partialList)
	case c.t.verb == "watch":
		c.f, err = negotiate(c.r, c.canEncode, asTable, partial, partialList)
	default:
		c.f, err = negotiate(c.r, c.canEncode, asTable, partial)
	}
	if err != nil {
		err = cmp.Or(c.notOfShape(), err)
	}
	return err
}

// canEncode tells whether the target's objects have the encoding f. Custom ones have no protobuf; their metadata have.
func (c *call) canEncode(f format) bool {
	if f.shape == asTable && c.t.row.Custom == nil && tableless[c.t.resource+"/"+c.t.sub] {
		return false
	}
	return c.t.row.Custom == nil || f.media != mediaProtobuf || f.shape != whole
}

// negotiateError is negotiate for a Status, which is only ever itself. Who wants nothing that it could be gets JSON for people, who are
// most likely to have asked.
func negotiateError(r *http.Request) format {
	if f, err := negotiate(r, anyFormat); err == nil {
		return f
	}
	return format{media: mediaJSON, pretty: true}
}

func notAcceptable(accepted ...string) error {
	if len(accepted) == 0 {
		accepted = typesOfObject
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusNotAcceptable, Reason: metav1.StatusReasonNotAcceptable,
		Message: "only the following media types are accepted: " + strings.Join(accepted, ", "),
	}}
}

// wish is one clause of an Accept header.
type wish struct {
	mediaType string
	params    map[string]string
}

// wishes splits an Accept header, best wish first. Nothing said means anything goes.
func wishes(accept string) []wish {
	switch accept {
	case "", "*/*", typeJSON:
		return anything
	case typeProtobuf:
		return protobufOnly
	}
	var out []wish
	for _, clause := range goautoneg.ParseAccept(accept) {
		out = append(out, wish{clause.Type + "/" + clause.SubType, clause.Params})
	}
	return out
}

var (
	anything     = []wish{{mediaType: typeJSON}}
	protobufOnly = []wish{{mediaType: typeProtobuf}}
)

// format fulfils w, if the server can.
func (w wish) format(allowed []shape) (format, bool) {
	var f format
	switch w.mediaType {
	case typeJSON, "*/*", "application/*":
		f.media = mediaJSON
	case typeYAML:
		f.media = mediaYAML
	case typeProtobuf:
		f.media = mediaProtobuf
	default:
		return f, false
	}
	if stream, ok := w.params["stream"]; ok && stream != "watch" {
		return f, false
	}
	f.pretty = w.params["pretty"] == "1"
	as := w.params["as"]
	if as == "" && w.params["g"] == "" && w.params["v"] == "" {
		return f, true
	}
	f.shape = map[string]shape{"Table": asTable, "PartialObjectMetadata": partial, "PartialObjectMetadataList": partialList}[as]
	f.as = schema.GroupVersion{Group: w.params["g"], Version: w.params["v"]}
	if f.shape == whole || f.as.Group != metav1.GroupName || (f.as.Version != "v1" && f.as.Version != "v1beta1") {
		return f, false
	}
	for _, s := range allowed {
		if s == f.shape {
			return f, f.shape != asTable || f.media != mediaProtobuf // a Table has no protobuf encoding
		}
	}
	return f, false
}

// wantsPretty is for people: those who ask for it, and those who look with a browser or curl.
func wantsPretty(r *http.Request) bool {
	if strings.Contains(r.URL.RawQuery, "pretty") {
		if text := r.URL.Query().Get("pretty"); text != "" {
			pretty, err := strconv.ParseBool(text)
			return err == nil && pretty
		}
	}
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "curl") || strings.HasPrefix(agent, "Wget") || strings.HasPrefix(agent, "Mozilla/5.0")
}
