package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// podCertificate lets a node ask for certificates of the pods that run on it, by the names and UIDs that they have, and only from signers
// whose certificates they mount. What may only have come too early is answered with an error of the server, so that the kubelet tries again.
func (p NodeRestriction) podCertificate(ctx context.Context, a *Attributes, node string) error {
	if a.Operation != Create {
		return a.forbidden("unexpected operation %s", a.Operation)
	}
	req, ok := a.Object.(*certificatesv1.PodCertificateRequest)
	if !ok {
		return a.wrongType(p.Name())
	}
	if err := p.fromNode(ctx, a, req, node); err != nil {
		return err
	}
	pod, err := p.podOf(ctx, a, req)
	if err != nil {
		return err
	}
	if err := p.accountOf(ctx, a, req, pod); err != nil {
		return err
	}
	return p.mountsCertificate(ctx, a, req, pod)
}

// missed looks for what a request names. If it is not there it may yet come.
func (p NodeRestriction) missed(a *Attributes, what, kind, name string, err error) error {
	if !apierrors.IsNotFound(err) {
		return a.forbidden("while retrieving %s named in the PodCertificateRequest: %w", what, err)
	}
	return fmt.Errorf("while retrieving %s named in the PodCertificateRequest: %s %q not found", what, kind, name) // no 404: it is not what was asked for
}

func (p NodeRestriction) fromNode(ctx context.Context, a *Attributes, req *certificatesv1.PodCertificateRequest, node string) error {
	s := &req.Spec
	if string(s.NodeName) != node {
		return a.forbidden("PodCertificateRequest.Spec.NodeName=%q, which is not the requesting node %q", s.NodeName, node)
	}
	found, err := p.get.Get(ctx, schema.GroupResource{Resource: "nodes"}, "", node)
	if err != nil {
		return p.missed(a, fmt.Sprintf("node %q", node), "node", node, err)
	}
	if found.GetUID() != s.NodeUID {
		return fmt.Errorf("PodCertificateRequest for pod %q names node UID %q, inconsistent with the running node (%q)", a.Namespace+"/"+s.PodName, s.NodeUID, found.GetUID())
	}
	return nil
}

func (p NodeRestriction) podOf(ctx context.Context, a *Attributes, req *certificatesv1.PodCertificateRequest) (*corev1.Pod, error) {
	s := &req.Spec
	name := a.Namespace + "/" + s.PodName
	found, err := p.get.Get(ctx, schema.GroupResource{Resource: "pods"}, a.Namespace, s.PodName)
	if err != nil {
		return nil, p.missed(a, fmt.Sprintf("pod %q", name), "pod", s.PodName, err)
	}
	pod, ok := found.(*corev1.Pod)
	switch {
	case !ok:
		return nil, a.wrongType(p.Name())
	case pod.UID != s.PodUID:
		return nil, fmt.Errorf("PodCertificateRequest for pod %q contains pod UID (%q) which differs from running pod %q", name, s.PodUID, pod.UID)
	case pod.Spec.NodeName != string(s.NodeName):
		return nil, a.forbidden("pod %q is not running on node %q named in the PodCertificateRequest", name, s.NodeName)
	case isMirror(pod):
		return nil, a.forbidden("pod %q is a mirror pod", name)
	case pod.Spec.ServiceAccountName != s.ServiceAccountName:
		return nil, a.forbidden("PodCertificateRequest for pod %q contains serviceAccountName (%q) that differs from running pod (%q)",
			name, s.ServiceAccountName, pod.Spec.ServiceAccountName)
	}
	return pod, nil
}

func (p NodeRestriction) accountOf(ctx context.Context, a *Attributes, req *certificatesv1.PodCertificateRequest, pod *corev1.Pod) error {
	s := &req.Spec
	account, err := p.get.Get(ctx, schema.GroupResource{Resource: "serviceaccounts"}, a.Namespace, s.ServiceAccountName)
	if err != nil {
		return p.missed(a, fmt.Sprintf("service account %q", a.Namespace+"/"+s.ServiceAccountName), "serviceaccount", s.ServiceAccountName, err)
	}
	if account.GetUID() != s.ServiceAccountUID {
		return fmt.Errorf("PodCertificateRequest for pod %q names service account UID %q, which differs from the running service account (%q)",
			a.Namespace+"/"+pod.Name, s.ServiceAccountUID, account.GetUID())
	}
	return nil
}

// mountsCertificate lets a node ask a signer for what its pod mounts, or for what it was allowed to ask for.
func (p NodeRestriction) mountsCertificate(ctx context.Context, a *Attributes, req *certificatesv1.PodCertificateRequest, pod *corev1.Pod) error {
	signer := req.Spec.SignerName
	for i := range pod.Spec.Volumes {
		v := pod.Spec.Volumes[i].Projected
		if v != nil && slices.ContainsFunc(v.Sources, func(s corev1.VolumeProjection) bool {
			return s.PodCertificate != nil && s.PodCertificate.SignerName == signer
		}) {
			return nil
		}
	}
	d, err := auth.NoOpinion, error(nil)
	if p.authz != nil {
		d, _, err = p.authz.Authorize(ctx, auth.Request{User: a.User, Verb: "request-serviceaccounts-podcertificate-signer", IsResource: true,
			Group: certificatesv1.GroupName, Version: a.Asked().Version, Namespace: a.Namespace,
			Resource: strings.ReplaceAll(signer, "/", ":"), Name: req.Spec.ServiceAccountName}) // no resource has a slash in its name
	}
	switch {
	case d == auth.Allow:
		return nil
	case err != nil:
		return a.forbidden("error authorizing %s to request podcertificaterequests for signer %q: %w", a.User.Name, signer, err)
	}
	return a.forbidden("pod %q does not mount a podCertificate projected volume for signer %q", a.Namespace+"/"+pod.Name, signer)
}
