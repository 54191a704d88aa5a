package node

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// log copies a container's log. A pod without a node has an empty one.
func (n *Nodes) log(w http.ResponseWriter, r *http.Request, to Connection) error {
	o, err := logOptions(r.URL.Query())
	if err != nil {
		return err
	}
	if errs := validateLog(o); len(errs) > 0 {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "PodLogOptions"}, to.Name, errs)
	}
	pod, err := find[*corev1.Pod](r.Context(), n, "pods", to.Namespace, to.Name)
	if err != nil {
		return err
	}
	name, err := container(pod, o.Container)
	if err != nil {
		return err
	}
	if pod.Spec.NodeName == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain")
	from, err := n.kubeletFor(r.Context(), pod)
	if err != nil {
		return err
	}
	from.Path = "/containerLogs/" + pod.Namespace + "/" + pod.Name + "/" + name
	from.RawQuery = logQuery(o).Encode()
	trust := n.kubelet
	if o.InsecureSkipTLSVerifyBackend {
		trust = n.trusting
	}
	return copyLog(w, r, from, trust, to)
}

func validateLog(o *corev1.PodLogOptions) field.ErrorList {
	var errs field.ErrorList
	positive := func(name string, v *int64) {
		if v != nil && *v < 1 {
			errs = append(errs, field.Invalid(field.NewPath(name), *v, "must be greater than 0"))
		}
	}
	if o.TailLines != nil && *o.TailLines < 0 {
		errs = append(errs, field.Invalid(field.NewPath("tailLines"), *o.TailLines, "must be greater than or equal to 0"))
	}
	positive("limitBytes", o.LimitBytes)
	if o.SinceSeconds != nil && o.SinceTime != nil {
		errs = append(errs, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	} else {
		positive("sinceSeconds", o.SinceSeconds)
	}
	if o.Stream != nil { // for which there is a gate that is off
		errs = append(errs, field.Forbidden(field.NewPath("stream"), "may not be specified"))
	}
	return errs
}

// logQuery is how kubelets are asked.
func logQuery(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	flag := func(name string, on bool) {
		if on {
			q.Set(name, "true")
		}
	}
	number := func(name string, v *int64) {
		if v != nil {
			q.Set(name, strconv.FormatInt(*v, 10))
		}
	}
	flag("follow", o.Follow)
	flag("previous", o.Previous)
	flag("timestamps", o.Timestamps)
	number("sinceSeconds", o.SinceSeconds)
	number("tailLines", o.TailLines)
	number("limitBytes", o.LimitBytes)
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.UTC().Format(time.RFC3339))
	}
	return q
}

// copyLog sends each piece on as it comes, which `kubectl logs -f` waits for.
func copyLog(w http.ResponseWriter, r *http.Request, from *url.URL, trust http.RoundTripper, to Connection) error {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, from.String(), nil)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	resp, err := trust.RoundTrip(req)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("ask the kubelet for the log: %w", err))
	}
	defer resp.Body.Close()
	if err := refused(resp, to); err != nil {
		return err
	}
	if websocket.IsWebSocketUpgrade(r) {
		return frameLog(w, r, resp.Body)
	}
	w.WriteHeader(http.StatusOK)
	out, b := http.NewResponseController(w), make([]byte, 32<<10)
	for {
		got, err := resp.Body.Read(b)
		if got > 0 {
			if _, err := w.Write(b[:got]); err != nil {
				return nil // the client hung up
			}
			if err := out.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return nil
			}
		}
		if err != nil {
			return nil // the end, or the kubelet hung up: the answer has begun, and there is no place for an error in it
		}
	}
}

// refused turns a kubelet's error, which is plain text, into the API's.
func refused(resp *http.Response, to Connection) error {
	if resp.StatusCode >= 200 && resp.StatusCode <= 206 {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("read the kubelet's answer: %w", err))
	}
	switch text := string(b); resp.StatusCode {
	case http.StatusBadRequest:
		return apierrors.NewBadRequest(text)
	case http.StatusInternalServerError:
		return apierrors.NewInternalError(errors.New(text))
	default:
		return apierrors.NewGenericServerResponse(resp.StatusCode, "", schema.GroupResource{Resource: to.Resource + "/" + to.Subresource}, to.Name, text, 0, false)
	}
}
