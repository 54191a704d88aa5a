package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	configMaps = "/api/v1/namespaces/default/configmaps"
	pods       = "/api/v1/namespaces/default/pods"
	services   = "/api/v1/namespaces/default/services"
)

// refusal is a bad request, and what upstream says to it.
type refusal struct {
	name, line string
	header     string
	body       string
	code       int
	reason     metav1.StatusReason
	message    string   // the whole, or with a * its beginning and its end
	causes     []string // "TYPE field", in order
}

func aPod(spec string) string {
	return `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"bad"},"spec":` + spec + `}`
}

func aContainer(more string) string {
	return aPod(`{"containers":[{"name":"c","image":"i"` + more + `}]}`)
}

const (
	unknownFormat = "the body of the request was in an unknown format - accepted media types include: "
	notThisMedia  = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf*"
	modified      = "; please apply your changes to the latest version and try again"
)

func refusals(uid string) []refusal {
	return []refusal{
		{name: "a list where a map belongs", line: "POST " + configMaps, body: `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b"},"data":["x"]}`,
			code: 400, reason: "BadRequest", message: `ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string`},
		{name: "a string where a list belongs", line: "POST " + pods, body: aPod(`{"containers":"c"}`),
			code: 400, reason: "BadRequest", message: `Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container`},
		{name: "a number too large", line: "POST " + pods, body: aPod(`{"activeDeadlineSeconds":99999999999999999999}`),
			code: 400, reason: "BadRequest", message: `Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number 99999999999999999999 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64`},
		{name: "an object that is none", line: "POST " + configMaps, body: `["a"]`,
			code: 400, reason: "BadRequest", message: `the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type *(5b2261225d)`},
		{name: "an unknown field, refused", line: "POST " + configMaps + "?fieldValidation=Strict", body: `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b"},"dato":{}}`,
			code: 400, reason: "BadRequest", message: `ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dato"`},
		{name: "a field in the wrong case", line: "POST " + configMaps + "?fieldValidation=Strict", body: `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"Name":"b"}}`,
			code: 400, reason: "BadRequest", message: `ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.Name"`},
		{name: "truncated", line: "POST " + configMaps, body: `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b`,
			code: 400, reason: "BadRequest", message: `*unexpected end of JSON input*`},
		{name: "more after the object", line: "POST " + configMaps, body: `{"metadata":{"name":"b"}}{"metadata":{"name":"c"}}`,
			code: 400, reason: "BadRequest", message: `*invalid character '{' after top-level value*`},
		{name: "nested too deep", line: "POST " + configMaps, body: `{"kind":"ConfigMap","apiVersion":"v1","x":` + strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000) + `}`,
			code: 400, reason: "BadRequest", message: `*exceeded max depth*`},
		{name: "a patch nested too deep", line: "PATCH " + configMaps + "/a", header: "Content-Type: application/merge-patch+json", body: `{"x":` + strings.Repeat(`{"x":`, 100_000) + `1` + strings.Repeat(`}`, 100_001),
			code: 400, reason: "BadRequest", message: "invalid JSON patch"},
		{name: "a body too large", line: "POST " + configMaps, body: `{"data":{"k":"` + strings.Repeat("x", 3<<20) + `"}}`,
			code: 413, reason: "RequestEntityTooLarge", message: "Request entity too large: limit is 3145728"},
		{name: "a value too large for its kind", line: "POST " + configMaps, body: `{"metadata":{"name":"b"},"data":{"k":"` + strings.Repeat("x", 1<<20+1) + `"}}`,
			code: 422, reason: "Invalid", message: `ConfigMap "b" is invalid: []: Too long: may not be more than 1048576 bytes`, causes: []string{"FieldValueTooLong []"}},
		{name: "a wrong content type", line: "POST " + configMaps, header: "Content-Type: application/xml", body: `<a/>`,
			code: 415, reason: "UnsupportedMediaType", message: unknownFormat + "application/json, application/yaml, application/vnd.kubernetes.protobuf"},
		{name: "a wrong patch type", line: "PATCH " + configMaps + "/a", header: "Content-Type: application/json", body: `{}`,
			code: 415, reason: "UnsupportedMediaType", message: "415: Unsupported Media Type"},
		{name: "an answer that is not to be had", line: "GET " + configMaps, header: "Accept: image/png",
			code: 406, reason: "NotAcceptable", message: notThisMedia},
		{name: "a bad label selector", line: "GET " + pods + "?labelSelector=app%3Dweb%20tier",
			code: 400, reason: "BadRequest", message: `found 'tier', expected: ',' or 'end of string'`},
		{name: "a label selector with a bad value", line: "GET " + pods + "?labelSelector=app%3D-",
			code: 400, reason: "BadRequest", message: `*values[0][app]: Invalid value: "-"*`},
		{name: "a bad field selector", line: "GET " + pods + "?fieldSelector=spec.nodeName",
			code: 400, reason: "BadRequest", message: `*invalid selector: 'spec.nodeName'; can't understand 'spec.nodeName'`},
		{name: "an unknown field selector", line: "GET " + pods + "?fieldSelector=spec.colour%3Dred",
			code: 400, reason: "BadRequest", message: `*field label not supported: spec.colour`},
		{name: "an unknown field selector for a watch", line: "GET " + pods + "?watch=1&fieldSelector=spec.colour%3Dred",
			code: 400, reason: "BadRequest", message: `*field label not supported: spec.colour`},
		{name: "an invalid name", line: "POST " + configMaps, body: `{"metadata":{"name":"Not_A_Name"}}`,
			code: 422, reason: "Invalid", message: `ConfigMap "Not_A_Name" is invalid: metadata.name: Invalid value: "Not_A_Name": a lowercase RFC 1123 subdomain must consist of*`,
			causes: []string{"FieldValueInvalid metadata.name"}},
		{name: "a name too long", line: "POST " + configMaps, body: `{"metadata":{"name":"` + strings.Repeat("a", 254) + `"}}`,
			code: 422, reason: "Invalid", message: `*must be no more than 253 *`, causes: []string{"FieldValueInvalid metadata.name"}},
		{name: "a name of bytes that are no text", line: "POST " + configMaps, body: "{\"metadata\":{\"name\":\"\xff\xfe\"}}",
			code: 422, reason: "Invalid", message: "*a lowercase RFC 1123 subdomain must consist of*", causes: []string{"FieldValueInvalid metadata.name"}},
		{name: "a huge label", line: "POST " + configMaps, body: `{"metadata":{"name":"b","labels":{"l":"` + strings.Repeat("x", 100_000) + `"}}}`,
			code: 422, reason: "Invalid", message: `*must be no more than 63 *`, causes: []string{"FieldValueInvalid metadata.labels"}},
		{name: "huge annotations", line: "POST " + configMaps, body: `{"metadata":{"name":"b","annotations":{"l":"` + strings.Repeat("x", 256<<10) + `"}}}`,
			code: 422, reason: "Invalid", message: `ConfigMap "b" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes`, causes: []string{"FieldValueTooLong metadata.annotations"}},
		{name: "an invalid quantity", line: "POST " + pods, body: aContainer(`,"resources":{"limits":{"memory":"lots"}}`),
			code: 400, reason: "BadRequest", message: `Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`},
		{name: "a negative quantity", line: "POST " + pods, body: aContainer(`,"resources":{"limits":{"memory":"-1"}}`),
			code: 422, reason: "Invalid", message: `Pod "bad" is invalid: [spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0*`,
			causes: []string{"FieldValueInvalid spec.containers[0].resources.limits[memory]", "FieldValueInvalid spec.containers[0].resources.requests[memory]"}},
		{name: "several mistakes at once", line: "POST " + pods, body: aPod(`{"restartPolicy":"Sometimes","containers":[{"image":"i","ports":[{"containerPort":0}]}]}`),
			code: 422, reason: "Invalid", message: `Pod "bad" is invalid: [*`,
			causes: []string{"FieldValueRequired spec.containers[0].name", "FieldValueRequired spec.containers[0].ports[0].containerPort", "FieldValueNotSupported spec.restartPolicy"}},
		{name: "no containers", line: "POST " + pods, body: aPod(`{}`),
			code: 422, reason: "Invalid", message: `Pod "bad" is invalid: spec.containers: Required value`, causes: []string{"FieldValueRequired spec.containers"}},
		{name: "no namespace", line: "POST /api/v1/namespaces/nowhere/configmaps", body: `{"metadata":{"name":"b"}}`,
			code: 404, reason: "NotFound", message: `namespaces "nowhere" not found`},
		{name: "a namespace on its way out", line: "POST /api/v1/namespaces/doomed/configmaps", body: `{"metadata":{"name":"b"}}`,
			code: 403, reason: "Forbidden", message: `configmaps "b" is forbidden: unable to create new content in namespace doomed because it is being terminated`,
			causes: []string{"NamespaceTerminating metadata.namespace"}},
		{name: "a name that is taken", line: "POST " + configMaps, body: `{"metadata":{"name":"a"}}`,
			code: 409, reason: "AlreadyExists", message: `configmaps "a" already exists`},
		{name: "a stale resourceVersion", line: "PUT " + configMaps + "/a", body: `{"metadata":{"name":"a","resourceVersion":"1"}}`,
			code: 409, reason: "Conflict", message: `Operation cannot be fulfilled on configmaps "a": the object has been modified` + modified},
		{name: "a resourceVersion that is none", line: "PUT " + configMaps + "/a", body: `{"metadata":{"name":"a","resourceVersion":"new"}}`,
			code: 500, message: `strconv.ParseUint: parsing "new": invalid syntax`}, // upstream's, though it is no mistake of the server
		{name: "another object's UID", line: "PUT " + configMaps + "/a", body: `{"metadata":{"name":"a","uid":"other"}}`,
			code: 409, reason: "Conflict", message: `Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: ` + uid},
		{name: "a delete of another object", line: "DELETE " + configMaps + "/a", body: `{"preconditions":{"uid":"other"}}`,
			code: 409, reason: "Conflict", message: `Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (other) does not match the UID in record (` + uid + `). The object might have been deleted and then recreated`},
		{name: "a delete of another version", line: "DELETE " + configMaps + "/a", body: `{"preconditions":{"resourceVersion":"1"}}`,
			code: 409, reason: "Conflict", message: `Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (*). The object might have been modified`},
		{name: "a sealed config map", line: "PATCH " + configMaps + "/sealed", header: "Content-Type: application/merge-patch+json", body: `{"data":{"k":"w"}}`,
			code: 422, reason: "Invalid", message: "ConfigMap \"sealed\" is invalid: data: Forbidden: field is immutable when `immutable` is set", causes: []string{"FieldValueForbidden data"}},
		{name: "a pod's name for a node", line: "PATCH " + pods + "/p", header: "Content-Type: application/merge-patch+json", body: `{"spec":{"nodeName":"n1","hostname":"h"}}`,
			code: 422, reason: "Invalid", message: "Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,*", causes: []string{"FieldValueForbidden spec"}},
		{name: "a service's address", line: "PATCH " + services + "/kubernetes", header: "Content-Type: application/merge-patch+json", body: `{"spec":{"clusterIP":"10.96.0.9","clusterIPs":["10.96.0.9"]}}`,
			code: 422, reason: "Invalid", message: `Service "kubernetes" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.0.9"]: may not change once set`, causes: []string{"FieldValueInvalid spec.clusterIPs[0]"}},
		{name: "nothing there", line: "GET " + pods + "/nobody", code: 404, reason: "NotFound", message: `pods "nobody" not found`},
		{name: "a method that is not served", line: "PUT " + configMaps, body: `{}`,
			code: 405, reason: "MethodNotAllowed", message: "the server does not allow this method on the requested resource"},
		{name: "a bad limit", line: "GET " + pods + "?limit=many", code: 400, reason: "BadRequest", message: `*strconv.ParseInt: parsing "many": invalid syntax`},
		{name: "a bad continue", line: "GET " + pods + "?continue=%21", code: 400, reason: "BadRequest", message: "invalid continue token: continue key is not valid: *"},
		{name: "an object that is named twice", line: "POST /api/v1/namespaces/default/configmaps", body: `{"metadata":{"name":"b","namespace":"other"}}`,
			code: 400, reason: "BadRequest", message: "the namespace of the provided object does not match the namespace sent on the request"},
	}
}

// Whatever a client gets wrong, it is told what, in the words and with the code, reason and causes that it knows.
func TestRefusals(t *testing.T) {
	s := startServer(t)
	ctx, core := t.Context(), s.client.CoreV1()
	made, err := core.ConfigMaps("default").Create(ctx, configMap("a", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	sealed := configMap("sealed", nil)
	sealed.Data, sealed.Immutable = map[string]string{"k": "v"}, new(bool)
	*sealed.Immutable = true
	_, err = core.ConfigMaps("default").Create(ctx, sealed, metav1.CreateOptions{})
	require.NoError(t, err)
	s.serviceAccount("default")
	_, err = core.Pods("default").Create(ctx, simplePod("p"), metav1.CreateOptions{})
	require.NoError(t, err)
	s.namespace("doomed")
	require.NoError(t, core.Namespaces().Delete(ctx, "doomed", metav1.DeleteOptions{}))
	for _, r := range refusals(string(made.UID)) {
		t.Run(r.name, func(t *testing.T) {
			var headers []string
			if r.header != "" {
				headers = append(headers, r.header)
			}
			got := s.send(r.line, []byte(r.body), headers...)
			var status metav1.Status
			require.NoError(t, json.Unmarshal(got.body, &status), "%d %.300s", got.code, got.body)
			require.Equal(t, metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, status.TypeMeta, "%.300s", got.body)
			require.Equal(t, metav1.StatusFailure, status.Status)
			require.EqualValues(t, got.code, status.Code)
			require.Equal(t, r.code, got.code, "%.300s", status.Message)
			require.Equal(t, r.reason, status.Reason, "%.300s", status.Message)
			require.True(t, fits(r.message, status.Message), "got  %.500s\nwant %s", status.Message, r.message)
			require.Equal(t, r.causes, causesOf(&status))
		})
	}
}

// fits matches text against a pattern in which * is anything.
func fits(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 || !strings.HasPrefix(text, parts[0]) {
		return text == pattern || strings.Contains(pattern, "[*]") && strings.HasPrefix(text, strings.TrimSuffix(pattern, "*"))
	}
	for _, p := range parts {
		at := strings.Index(text, p)
		if at < 0 {
			return false
		}
		text = text[at+len(p):]
	}
	return parts[len(parts)-1] == "" || text == ""
}

func causesOf(status *metav1.Status) (out []string) {
	if status.Details == nil {
		return nil
	}
	for _, c := range status.Details.Causes {
		out = append(out, fmt.Sprintf("%s %s", c.Type, c.Field))
	}
	return out
}

func simplePod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
}

// serviceAccount makes the account that pods of a namespace run as; in a whole cluster a controller does.
func (s *server) serviceAccount(namespace string) {
	s.Helper()
	_, err := s.client.CoreV1().ServiceAccounts(namespace).Create(s.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	require.NoError(s, err)
}

// Unknown fields are warned of by default, passed over if the client wants it so.
func TestUnknownFields(t *testing.T) {
	s := startServer(t)
	body := []byte(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b","colour":"red"},"data":{"k":"v","k":"w"}}`)
	for query, warnings := range map[string][]string{
		"":                        {`299 - "unknown field \"metadata.colour\""`, `299 - "duplicate field \"data.k\""`},
		"&fieldValidation=Warn":   {`299 - "unknown field \"metadata.colour\""`, `299 - "duplicate field \"data.k\""`},
		"&fieldValidation=Ignore": nil,
	} {
		got := s.send("POST "+configMaps+"?dryRun=All"+query, body)
		require.Equal(t, http.StatusCreated, got.code, "%s", got.body)
		require.Equal(t, warnings, got.header.Values("Warning"), query)
	}
}

// bombs are YAML bodies that stand for far more than they are long.
func bombs() map[string]string {
	const head = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n"
	out := map[string]string{
		"a long string a hundred thousand times": head + "x: &a " + strings.Repeat("y", 1<<20) + "\nz: [" + strings.Repeat("*a,", 100_000) + "]\n",
		"a list in itself":                       head + "x: &a [*a, *a]\n",
	}
	for _, depth := range []int{3, 5, 8, 50} {
		b := head + "x0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n"
		for i := range depth {
			b += fmt.Sprintf("x%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
		}
		out[fmt.Sprintf("nine to the power of %d strings", depth+1)] = b
	}
	return out
}

// YAML that stands for far more than it is long is refused before it becomes that.
func TestYAMLBombs(t *testing.T) {
	s := startServer(t)
	for name, body := range bombs() {
		for line, contentType := range map[string]string{
			"POST " + configMaps:                           "application/yaml",
			"PATCH " + configMaps + "/b?fieldManager=test": "application/apply-patch+yaml",
		} {
			t.Run(name+" in "+contentType, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				got := s.send(line, []byte(body), "Content-Type: "+contentType)
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				require.Equal(t, 400, got.code, "%.300s", got.body)
				require.Less(t, took, 10*time.Second) // which is minutes for what the worst of them would come to
				require.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(256), "MiB")
			})
		}
	}
	// What aliases are for still works.
	got := s.send("POST "+configMaps, []byte("metadata: {name: b, labels: &l {app: web}, annotations: *l}\n"), "Content-Type: application/yaml")
	require.Equal(t, 201, got.code, "%s", got.body)
	require.Contains(t, string(got.body), `"annotations":{"app":"web"}`)
}
