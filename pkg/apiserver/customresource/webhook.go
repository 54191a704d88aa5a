package customresource

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"bonsai/pkg/apiserver/oldcert"
	"github.com/google/uuid"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A webhook converts objects between the versions of a kind whose fields are not the same. It is asked with every read and write of a
// version that is not the stored one, and its answer is trusted in everything but the identity of the object: name,
// namespace, uid and all other metadata but labels and annotations stay what they were.

// Services finds where a service can be reached, as HOST:PORT.
type Services interface {
	Endpoint(ctx context.Context, namespace, name string, port int32) (string, error)
}

const (
	// webhookTime is how long one conversion may take.
	webhookTime = 30 * time.Second
	// maxAnswer bounds what a webhook may answer: the objects that it was sent may grow, but not without end.
	maxAnswer = 16 << 20
)

// webhook is the conversion "Webhook".
type webhook struct {
	url      string
	client   *http.Client
	versions []string // of ConversionReview that it understands
	servers  *oldcert.Counts
}

// newWebhook returns the converter that a definition asks for.
func newWebhook(c *apiextensionsv1.WebhookConversion, services Services, servers *oldcert.Counts) (*webhook, error) {
	if c == nil || c.ClientConfig == nil {
		return nil, errors.New("the conversion names no webhook")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca := bytes.TrimSpace(c.ClientConfig.CABundle); len(ca) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
		}
	}
	transport := &http.Transport{TLSClientConfig: cfg, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true}
	w := &webhook{versions: c.ConversionReviewVersions, servers: servers, client: &http.Client{
		Transport: transport, Timeout: webhookTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if c.ClientConfig.URL != nil {
		w.url = *c.ClientConfig.URL
		return w, nil
	}
	s := c.ClientConfig.Service
	if s == nil || services == nil {
		return nil, errors.New("the conversion names no webhook that can be reached")
	}
	port := int32(443)
	if s.Port != nil {
		port = *s.Port
	}
	cfg.ServerName = s.Name + "." + s.Namespace + ".svc"
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		address, err := services.Endpoint(ctx, s.Namespace, s.Name, port)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	to := url.URL{Scheme: "https", Host: net.JoinHostPort(cfg.ServerName, strconv.Itoa(int(port)))}
	if s.Path != nil {
		to.Path = *s.Path
	}
	w.url = to.String()
	return w, nil
}

// Convert asks the webhook for one object.
func (w *webhook) Convert(u *unstructured.Unstructured, to schema.GroupVersion) (*unstructured.Unstructured, error) {
	gvk := u.GroupVersionKind()
	answers, err := w.review(u, to)
	switch {
	case err != nil:
		return nil, fmt.Errorf("conversion webhook for %v failed: %w", gvk, err)
	case len(answers) != 1:
		return nil, fmt.Errorf("conversion webhook for %v returned %d objects, expected %d", gvk, len(answers), 1)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(answers[0].Raw); err != nil {
		return nil, err
	}
	if got := out.GroupVersionKind().GroupVersion(); got != to {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid object at index 0: invalid groupVersion (expected %v, received %v)", gvk, to, got)
	}
	if got := out.GetKind(); got != gvk.Kind {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid object at index 0: invalid kind (expected %v, received %v)", gvk, gvk.Kind, got)
	}
	if err := sameObject(u, out); err != nil {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid object: %w", gvk, err)
	}
	if err := restoreMetadata(u, out); err != nil {
		return nil, fmt.Errorf("conversion webhook for %v returned invalid metadata: %w", gvk, err)
	}
	return out, nil
}

// review sends a ConversionReview with u and returns the objects of the answer.
func (w *webhook) review(u *unstructured.Unstructured, to schema.GroupVersion) ([]runtime.RawExtension, error) {
	version := ""
	for _, v := range w.versions {
		if v == "v1" || v == "v1beta1" { // the two are the same but for their name
			version = v
			break
		}
	}
	if version == "" {
		return nil, errors.New("no supported conversion review versions")
	}
	uid := types.UID(uuid.NewString())
	body, err := json.Marshal(&apiextensionsv1.ConversionReview{
		TypeMeta: metav1.TypeMeta{Kind: "ConversionReview", APIVersion: apiextensionsv1.GroupName + "/" + version},
		Request:  &apiextensionsv1.ConversionRequest{UID: uid, DesiredAPIVersion: to.String(), Objects: []runtime.RawExtension{{Object: u}}},
	})
	if err != nil {
		return nil, err
	}
	answer, err := w.post(body)
	if err != nil {
		return nil, err
	}
	return judgeReview(answer, version, uid)
}

func (w *webhook) post(body []byte) (*apiextensionsv1.ConversionReview, error) {
	req, err := http.NewRequest(http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = "timeout=" + webhookTime.String()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, */*")
	req.Header.Set("User-Agent", "kube-apiserver-admission")
	resp, err := w.client.Do(req)
	w.servers.Look(req, resp, err)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 206:
		return nil, refusal(resp.StatusCode, text)
	}
	answer := &apiextensionsv1.ConversionReview{}
	if err := json.Unmarshal(text, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// refusal is what an answer that is no success says, in the words of client-go.
func refusal(code int, text []byte) error {
	status := &metav1.Status{}
	if json.Unmarshal(text, status) == nil && status.Kind == "Status" && status.Message != "" {
		return errors.New(status.Message)
	}
	switch code {
	case http.StatusNotFound:
		return errors.New("the server could not find the requested resource")
	case http.StatusServiceUnavailable:
		return errors.New("the server is currently unable to handle the request")
	}
	return fmt.Errorf("an error on the server (%q) has prevented the request from succeeding", text[:min(len(text), 2048)])
}

// judgeReview returns the converted objects, if the answer is one to our question and says that all is well.
func judgeReview(answer *apiextensionsv1.ConversionReview, version string, uid types.UID) ([]runtime.RawExtension, error) {
	want := schema.GroupVersionKind{Group: apiextensionsv1.GroupName, Version: version, Kind: "ConversionReview"}
	strict := version == "v1"
	switch got := answer.GroupVersionKind(); {
	case strict && got != want:
		return nil, fmt.Errorf("expected webhook response of %v, got %v", want, got)
	case answer.Response == nil:
		return nil, errors.New("no response provided")
	case strict && answer.Response.UID != uid:
		return nil, fmt.Errorf("expected response.uid=%q, got %q", uid, answer.Response.UID)
	case answer.Response.Result.Status == metav1.StatusSuccess:
		return answer.Response.ConvertedObjects, nil
	case answer.Response.Result.Message != "":
		return nil, errors.New(answer.Response.Result.Message)
	}
	return nil, fmt.Errorf("response.result.status was '%s', not 'Success'", answer.Response.Result.Status)
}

// sameObject refuses an answer that is another object.
func sameObject(in, out *unstructured.Unstructured) error {
	for _, c := range []struct{ what, was, is string }{
		{"kind", in.GetKind(), out.GetKind()},
		{"name", in.GetName(), out.GetName()},
		{"namespace", in.GetNamespace(), out.GetNamespace()},
		{"UID", string(in.GetUID()), string(out.GetUID())},
	} {
		if c.was != c.is {
			return fmt.Errorf("must have the same %s: %v != %v", c.what, c.was, c.is)
		}
	}
	return nil
}

// restoreMetadata puts the metadata of in into out, but for the labels and annotations of out.
func restoreMetadata(in, out *unstructured.Unstructured) error {
	answered, ok := out.Object["metadata"]
	if !ok {
		return errors.New("missing metadata in converted object")
	}
	theirs, ok := answered.(map[string]any)
	if !ok {
		return fmt.Errorf("invalid metadata of type %T in converted object", answered)
	}
	ours, _ := runtime.DeepCopyJSONValue(in.Object["metadata"]).(map[string]any)
	if ours == nil {
		ours = map[string]any{}
	}
	for _, name := range []string{"labels", "annotations"} {
		value, ok := theirs[name]
		if !ok || value == nil {
			delete(ours, name)
			continue
		}
		texts, ok := value.(map[string]any)
		if !ok {
			return fmt.Errorf("invalid metadata.%s of type %T in converted object", name, value)
		}
		if err := checkTexts(name, texts); err != nil {
			return err
		}
		ours[name] = texts
	}
	out.Object["metadata"] = ours
	return nil
}

// checkTexts refuses labels or annotations that no client could have written.
func checkTexts(name string, texts map[string]any) error {
	set := make(map[string]string, len(texts))
	for k, v := range texts {
		text, ok := v.(string)
		if !ok {
			return fmt.Errorf("metadata.%s[%s] must be a string, but is %T in converted object", name, k, v)
		}
		set[k] = text
	}
	if name == "labels" {
		return metavalidation.ValidateLabels(set, field.NewPath("metadata", "labels")).ToAggregate()
	}
	return apivalidation.ValidateAnnotations(set, field.NewPath("metadata", "annotation")).ToAggregate()
}
