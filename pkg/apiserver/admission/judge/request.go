package judge

import (
	"bonsai/pkg/apiserver/admission"

	reviewv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// NewRequest describes the request in the form f, without its objects.
func NewRequest(a *admission.Attributes, f admission.Form) *reviewv1.AdmissionRequest {
	asked := a.Form()
	dry := a.DryRun
	return &reviewv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind(f.Kind), Resource: metav1.GroupVersionResource(f.Resource), SubResource: a.Subresource,
		RequestKind: kindOf(asked.Kind), RequestResource: resourceOf(asked.Resource), RequestSubResource: a.Subresource,
		Name: a.Name, Namespace: a.Namespace, Operation: reviewv1.Operation(a.Operation),
		UserInfo: a.User.Info(), DryRun: &dry, Options: runtime.RawExtension{Object: a.Options},
	}
}

func kindOf(k schema.GroupVersionKind) *metav1.GroupVersionKind {
	kind := metav1.GroupVersionKind(k)
	return &kind
}

func resourceOf(r schema.GroupVersionResource) *metav1.GroupVersionResource {
	resource := metav1.GroupVersionResource(r)
	return &resource
}
