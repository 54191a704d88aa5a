package discovery

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"sigs.k8s.io/yaml"
)

const (
	typeJSON     = "application/json"
	typeYAML     = "application/yaml"
	typeProtobuf = "application/vnd.kubernetes.protobuf"
	// asAggregated is what clients add to a type when they want the aggregated form.
	asAggregated = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
)

// document is one answer in all its encodings.
type document struct {
	json, yaml, protobuf []byte
	etag                 string
}

// scheme is empty: the serializer needs one only to decode.
var toProtobuf = protobuf.NewSerializer(runtime.NewScheme(), runtime.NewScheme())

func encode(o runtime.Object) (document, error) {
	var d document
	var err error
	if d.json, err = json.Marshal(o); err != nil {
		return d, err
	}
	d.json = append(d.json, '\n')
	if d.yaml, err = yaml.JSONToYAML(d.json); err != nil {
		return d, err
	}
	var b bytes.Buffer
	err = toProtobuf.Encode(o, &b)
	d.protobuf = b.Bytes()
	return d, err
}

// Serves says whether path is one of the documents'.
func (d *Documents) Serves(path string) bool {
	_, ok := d.byPath[clean(path)]
	return ok
}

func clean(path string) string { return strings.TrimSuffix(path, "/") }

// Served is what a request was answered with: a document in its aggregated form or not, and what it says as JSON; nil if it was not sent.
type Served struct {
	Aggregated bool
	JSON       []byte
}

// Serve serves the document at the request's path, which is one that it Serves. Pretty ones have their JSON laid out for people.
func (d *Documents) Serve(w http.ResponseWriter, r *http.Request, pretty bool) Served {
	path := clean(r.URL.Path)
	plain, ok := d.byPath[path]
	if !ok {
		http.NotFound(w, r)
		return Served{}
	}
	newer, both := d.aggregated[path]
	want, aggregated := negotiate(r.Header.Get("Accept"), both)
	if want == "" {
		notAcceptable(w)
		return Served{}
	}
	body, contentType := plain.in(want), want
	switch {
	case aggregated:
		body, contentType = newer.in(want), want+asAggregated
		w.Header().Set("Vary", "Accept")
		w.Header().Set("ETag", newer.etag)
		w.Header().Set("Cache-Control", "public")
		if r.Header.Get("If-None-Match") == newer.etag {
			w.WriteHeader(http.StatusNotModified)
			return Served{Aggregated: true}
		}
	case pretty && want == typeJSON:
		body = indented(body)
	}
	w.Header().Set("Content-Type", contentType)
	// A client that hung up is the only way this fails.
	_, _ = w.Write(body)
	if aggregated {
		return Served{true, newer.json}
	}
	return Served{false, plain.json}
}

// indented is for people; that it is JSON is known.
func indented(body []byte) []byte {
	var b bytes.Buffer
	_ = json.Indent(&b, bytes.TrimSpace(body), "", "  ")
	return b.Bytes()
}

func (d document) in(contentType string) []byte {
	switch contentType {
	case typeYAML:
		return d.yaml
	case typeProtobuf:
		return d.protobuf
	}
	return d.json
}

// negotiate returns the first type of an Accept header that can be served, and whether it asks for the aggregated form.
func negotiate(accept string, both bool) (contentType string, aggregated bool) {
	if accept == "" {
		return typeJSON, false
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		name, params := clause.Type+"/"+clause.SubType, clause.Params
		switch name {
		case "*/*", "application/*":
			name = typeJSON
		case typeJSON, typeYAML, typeProtobuf:
		default:
			continue
		}
		if params["as"] == "" {
			return name, false
		}
		if both && params["g"] == "apidiscovery.k8s.io" && params["v"] == "v2" && params["as"] == "APIGroupDiscoveryList" {
			return name, true
		}
	}
	return "", false
}

func notAcceptable(w http.ResponseWriter) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(http.StatusNotAcceptable)
	text, err := json.MarshalIndent(metav1.Status{
		TypeMeta: meta("Status"), Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotAcceptable, Code: http.StatusNotAcceptable,
		Message: "only the following media types are accepted: " + strings.Join([]string{typeJSON, typeYAML, typeProtobuf}, ", "),
	}, "", "  ")
	if err == nil { // it is made of texts only
		_, _ = w.Write(text) // fails only if the client has gone
	}
}
