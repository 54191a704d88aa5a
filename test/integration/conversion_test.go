package integration

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

var (
	oldHosts = schema.GroupVersionResource{Group: "example.com", Version: "v1beta1", Resource: "hosts"}
	newHosts = oldHosts.GroupResource().WithVersion("v1")
)

// converter is a webhook that splits hostPort into host and port, and joins them. bad, if it holds a function, spoils its answers.
type converter struct {
	*httptest.Server
	calls atomic.Int64
	bad   atomic.Pointer[func(*apiextensionsv1.ConversionReview)]
}

func startConverter(t *testing.T) *converter {
	c := &converter{}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.calls.Add(1)
		review := &apiextensionsv1.ConversionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review.Response = convertHosts(review.Request)
		review.Request = nil
		if bad := c.bad.Load(); bad != nil {
			(*bad)(review)
		}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(c.Close)
	return c
}

func convertHosts(req *apiextensionsv1.ConversionRequest) *apiextensionsv1.ConversionResponse {
	resp := &apiextensionsv1.ConversionResponse{UID: req.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	for _, o := range req.Objects {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(o.Raw); err != nil {
			resp.Result = metav1.Status{Status: metav1.StatusFailure, Message: err.Error()}
			return resp
		}
		if both, ok := u.Object["hostPort"].(string); ok && strings.HasSuffix(req.DesiredAPIVersion, "/v1") {
			u.Object["host"], u.Object["port"], _ = strings.Cut(both, ":")
			delete(u.Object, "hostPort")
		} else if host, ok := u.Object["host"].(string); ok {
			u.Object["hostPort"] = host + ":" + u.Object["port"].(string)
			delete(u.Object, "host")
			delete(u.Object, "port")
		}
		u.SetAPIVersion(req.DesiredAPIVersion)
		u.SetAnnotations(map[string]string{"converted": "yes"})
		resp.ConvertedObjects = append(resp.ConvertedObjects, runtime.RawExtension{Object: u})
	}
	return resp
}

// client is the conversion part of a definition.
func (c *converter) client() map[string]any {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	text, _ := json.Marshal(apiextensionsv1.CustomResourceConversion{
		Strategy: apiextensionsv1.WebhookConverter,
		Webhook: &apiextensionsv1.WebhookConversion{
			ClientConfig:             &apiextensionsv1.WebhookClientConfig{URL: &c.URL, CABundle: ca},
			ConversionReviewVersions: []string{"v1"},
		},
	})
	var out map[string]any
	_ = json.Unmarshal(text, &out)
	return out
}

// Objects are read and written in any served version, whichever they are stored in.
func TestConversionByWebhook(t *testing.T) {
	s, hook := startServer(t), startConverter(t)
	crd := definition(t, "hosts")
	crd.Object["spec"].(map[string]any)["conversion"] = hook.client()
	s.define(crd)
	ctx, before, after := t.Context(), s.dynamic.Resource(oldHosts), s.dynamic.Resource(newHosts)
	w, err := after.Watch(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	_, err = before.Create(ctx, object(t, `{"apiVersion":"example.com/v1beta1","kind":"Host","metadata":{"name":"a"},"hostPort":"x:1"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	e := <-w.ResultChan()
	require.Equal(t, watch.Added, e.Type)
	u := e.Object.(*unstructured.Unstructured)
	w.Stop()
	require.Equal(t, []any{"x", "1", nil}, []any{u.Object["host"], u.Object["port"], u.Object["old"]})
	require.Equal(t, map[string]string{"converted": "yes"}, u.GetAnnotations())

	u.Object["port"] = "2"
	_, err = after.Update(ctx, u, metav1.UpdateOptions{})
	require.NoError(t, err)
	got, err := before.Get(ctx, "a", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, []any{"x:2", "yes"}, []any{got.Object["hostPort"], got.Object["old"]})

	// What was converted is kept.
	calls := hook.calls.Load()
	for range 3 {
		require.Equal(t, []string{"a"}, s.namesOf(after, metav1.ListOptions{}))
	}
	require.LessOrEqual(t, hook.calls.Load(), calls+1)

	// The owners of fields are known across versions.
	_, err = after.Apply(ctx, "a", object(t, `{"apiVersion":"example.com/v1","kind":"Host","metadata":{"name":"a"},"host":"y"}`), metav1.ApplyOptions{FieldManager: "other"})
	require.True(t, apierrors.IsConflict(err), "%v", err)
	_, err = after.Apply(ctx, "a", object(t, `{"apiVersion":"example.com/v1","kind":"Host","metadata":{"name":"a"},"host":"y"}`), metav1.ApplyOptions{FieldManager: "other", Force: true})
	require.NoError(t, err)
	got, err = before.Get(ctx, "a", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "y:2", got.Object["hostPort"])
}

// A webhook that misbehaves is told of in the words of upstream.
func TestConversionFailures(t *testing.T) {
	s, hook := startServer(t), startConverter(t)
	crd := definition(t, "hosts")
	crd.Object["spec"].(map[string]any)["conversion"] = hook.client()
	s.define(crd)
	ctx, before, after := t.Context(), s.dynamic.Resource(oldHosts), s.dynamic.Resource(newHosts)
	_, err := before.Create(ctx, object(t, `{"apiVersion":"example.com/v1beta1","kind":"Host","metadata":{"name":"a"},"hostPort":"x:1"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	for want, spoil := range map[string]func(*apiextensionsv1.ConversionReview){
		`conversion webhook for example.com/v1beta1, Kind=Host failed: not today`: func(r *apiextensionsv1.ConversionReview) {
			r.Response.Result = metav1.Status{Status: metav1.StatusFailure, Message: "not today"}
		},
		`conversion webhook for example.com/v1beta1, Kind=Host failed: no response provided`:   func(r *apiextensionsv1.ConversionReview) { r.Response = nil },
		`conversion webhook for example.com/v1beta1, Kind=Host returned 0 objects, expected 1`: func(r *apiextensionsv1.ConversionReview) { r.Response.ConvertedObjects = nil },
		`conversion webhook for example.com/v1beta1, Kind=Host returned invalid object: must have the same name: a != b`: func(r *apiextensionsv1.ConversionReview) {
			r.Response.ConvertedObjects[0].Object.(*unstructured.Unstructured).SetName("b")
		},
		`conversion webhook for example.com/v1beta1, Kind=Host returned invalid object at index 0: invalid groupVersion (expected example.com/v1, received example.com/v1beta1)`: func(r *apiextensionsv1.ConversionReview) {
			r.Response.ConvertedObjects[0].Object.(*unstructured.Unstructured).SetAPIVersion("example.com/v1beta1")
		},
	} {
		hook.bad.Store(&spoil)
		_, err := after.Get(ctx, "a", metav1.GetOptions{})
		var status apierrors.APIStatus
		require.True(t, errors.As(err, &status), "%v", err)
		require.EqualValues(t, 500, status.Status().Code)
		require.Equal(t, want, status.Status().Message)
	}
	_, err = before.Get(ctx, "a", metav1.GetOptions{})
	require.NoError(t, err) // that needs no conversion
	hook.Close()
	_, err = after.Get(ctx, "a", metav1.GetOptions{})
	require.ErrorContains(t, err, "conversion webhook for example.com/v1beta1, Kind=Host failed: Post ")
}

// A version comes, becomes the stored one, and the other goes.
func TestStorageVersionMoves(t *testing.T) {
	s := startServer(t)
	s.define(definition(t, "hosts"))
	ctx, before, after := t.Context(), s.dynamic.Resource(oldHosts), s.dynamic.Resource(newHosts)
	_, err := before.Create(ctx, object(t, `{"apiVersion":"example.com/v1beta1","kind":"Host","metadata":{"name":"a"},"hostPort":"x:1"}`), metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{`299 - "example.com/v1beta1 Host is deprecated; use example.com/v1 Host"`}, s.send("GET /apis/example.com/v1beta1/hosts", nil).header["Warning"])
	require.Empty(t, s.send("GET /apis/example.com/v1/hosts", nil).header["Warning"])

	versions := func(spec map[string]any) (v1beta1, v1 map[string]any) {
		list := spec["versions"].([]any)
		return list[0].(map[string]any), list[1].(map[string]any)
	}
	s.change("hosts.example.com", func(spec map[string]any) {
		v1beta1, v1 := versions(spec)
		v1beta1["storage"], v1["storage"] = false, true
	})
	crd, err := s.dynamic.Resource(definitions).Get(ctx, "hosts.example.com", metav1.GetOptions{})
	require.NoError(t, err)
	stored, _, _ := unstructured.NestedStringSlice(crd.Object, "status", "storedVersions")
	require.Equal(t, []string{"v1beta1", "v1"}, stored)
	w, err := before.Watch(ctx, metav1.ListOptions{})
	require.NoError(t, err)

	s.change("hosts.example.com", func(spec map[string]any) {
		v1beta1, _ := versions(spec)
		v1beta1["served"] = false
	})
	s.until("the version is withdrawn", func() bool {
		_, err := before.Get(ctx, "a", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	for range within(t, w) { // it ends
	}
	got, err := after.Patch(ctx, "a", types.MergePatchType, []byte(`{"host":"x"}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "x", got.Object["host"])
	require.NotContains(t, got.Object, "hostPort")

	// As long as objects may be stored in it, a version cannot be forgotten.
	forget := func() error {
		u, err := s.dynamic.Resource(definitions).Get(ctx, "hosts.example.com", metav1.GetOptions{})
		require.NoError(t, err)
		spec := u.Object["spec"].(map[string]any)
		spec["versions"] = spec["versions"].([]any)[1:]
		_, err = s.dynamic.Resource(definitions).Update(ctx, u, metav1.UpdateOptions{})
		return err
	}
	require.ErrorContains(t, forget(), "status.storedVersions[0]: Invalid value: \"v1beta1\": missing from spec.versions; v1beta1 was previously a storage version")
	_, err = s.dynamic.Resource(definitions).Patch(ctx, "hosts.example.com", types.MergePatchType, []byte(`{"status":{"storedVersions":["v1"]}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	require.NoError(t, forget())
	require.Equal(t, []string{"a"}, s.namesOf(after, metav1.ListOptions{}))
}
