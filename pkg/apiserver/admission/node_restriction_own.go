package admission

import (
	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
)

// ownCertificate keeps a node from asking for the certificate of another. The rest of the request is for the signer to judge.
func ownCertificate(a *Attributes, node string) error {
	if a.Operation != Create {
		return nil
	}
	csr, ok := a.Object.(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return a.wrongType(NodeRestriction{}.Name())
	}
	if s := csr.Spec.SignerName; s != certificatesv1.KubeletServingSignerName && s != certificatesv1.KubeAPIServerClientKubeletSignerName {
		return nil
	}
	parsed, err := parseRequest(csr.Spec.Request)
	if err != nil {
		return a.forbidden("unable to parse csr: %w", err)
	}
	if name := auth.NodePrefix + node; parsed.Subject.CommonName != name {
		return a.forbidden("can only create a node CSR with CN=%s", name)
	}
	return nil
}

// claimStatus lets a node say how large a volume has become, and no more of its claim.
func claimStatus(a *Attributes, node string) error {
	if a.Operation != Update {
		return a.forbidden("unexpected operation %q", a.Operation)
	}
	next, old, err := changeOf[*corev1.PersistentVolumeClaim](a, NodeRestriction{}.Name())
	if err != nil {
		return err
	}
	next, old = withoutSize(next), withoutSize(old)
	if !equality.Semantic.DeepEqual(old, next) {
		return a.forbidden("node %q is not allowed to update fields other than status.quantity and status.conditions: %v", node,
			diff.Diff(resource.InGoNames(old), resource.InGoNames(next)))
	}
	return nil
}

// withoutSize is a copy without what a node may write.
func withoutSize(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
	c = c.DeepCopy()
	c.ResourceVersion, c.ManagedFields = "", nil
	s := &c.Status
	s.Capacity, s.Conditions, s.AllocatedResources, s.AllocatedResourceStatuses = nil, nil, nil, nil
	return c
}
