package admission

import (
	"context"
	"fmt"

	"bonsai/pkg/apiserver/auth"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodCertificateSigning lets those end a pod's request for a certificate, however it ends, who may sign for its signer.
type PodCertificateSigning struct{ authz auth.Authorizer }

// Name is ours: upstream asks this where it validates the status of such requests, once nothing else is wrong with it.
func (PodCertificateSigning) Name() string { return "PodCertificateSigning" }

// Admit does nothing.
func (PodCertificateSigning) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses.
func (p PodCertificateSigning) Validate(ctx context.Context, a *Attributes) error {
	if a.Operation != Update || !a.is("podcertificaterequests.certificates.k8s.io/status") {
		return nil
	}
	next, old, err := changeOf[*certificatesv1.PodCertificateRequest](a, p.Name())
	if err != nil {
		return err
	}
	signer := old.Spec.SignerName
	if equality.Semantic.DeepEqual(next.Status, old.Status) || maySign(ctx, p.authz, a, "sign", signer) {
		return nil
	}
	return apierrors.NewInvalid(a.Row.GVK().GroupKind(), a.displayName(), field.ErrorList{field.Forbidden(field.NewPath("spec", "signerName"),
		fmt.Sprintf(`User %q is not permitted to "sign" for signer %q`, a.User.Name, signer))})
}
