package server

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/pkg/kubelet/cri"
)

func (c Config) pods(w http.ResponseWriter, _ *http.Request) {
	list, err := c.Pods.List()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	for _, p := range list {
		out.Items = append(out.Items, *p)
	}
	w.Header().Set("Content-Type", "application/json")
	// The client that went away is the only one to whom an error could be told.
	_ = json.NewEncoder(w).Encode(out)
}

// found is the pod that a request is about, and what the runtime has of it. When there is none it has answered.
func (c Config) found(w http.ResponseWriter, r *http.Request) (*corev1.Pod, *cri.Pod, bool) {
	pod, err := c.Pods.Get(chi.URLParam(r, "namespace"), chi.URLParam(r, "pod"))
	if apierrors.IsNotFound(err) || err == nil && chi.URLParam(r, "uid") != "" && chi.URLParam(r, "uid") != string(pod.UID) {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return nil, nil, false
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return nil, nil, false
	}
	runtime, err := c.Runtime.Pod(r.Context(), pod.UID)
	if err != nil {
		http.Error(w, cri.Message(err), http.StatusInternalServerError)
		return nil, nil, false
	}
	return pod, runtime, true
}

// running returns the container that a request is about, which must run. When it does not it has answered.
func (c Config) running(w http.ResponseWriter, r *http.Request) (*cri.Container, bool) {
	_, runtime, ok := c.found(w, r)
	if !ok {
		return nil, false
	}
	name := chi.URLParam(r, "container")
	run := runtime.Current(name)
	if run == nil || run.State != cri.Running {
		http.Error(w, fmt.Sprintf("container not found (%q)", name), http.StatusNotFound)
		return nil, false
	}
	return run, true
}
