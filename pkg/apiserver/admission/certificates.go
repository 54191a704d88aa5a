package admission

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/resource"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// maySign asks whether the user may do verb (approve, sign, attest) for a signer, by its name or as one of all of its domain.
func maySign(ctx context.Context, authz auth.Authorizer, a *Attributes, verb, signer string) bool {
	if authz == nil {
		return true
	}
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		d, _, _ := authz.Authorize(ctx, auth.Request{User: a.User, Verb: verb, IsResource: true,
			Group: certificatesv1.GroupName, Version: "*", Resource: "signers", Name: name})
		if d == auth.Allow {
			return true
		}
	}
	return false
}

// oldRequest returns the certificate signing request that an update of its part what changes, as it was: the client must not choose by
// whose rights it is judged.
func oldRequest(a *Attributes, what string) *certificatesv1.CertificateSigningRequest {
	if a.Operation != Update || !a.is(what) {
		return nil
	}
	old, _ := a.Old.(*certificatesv1.CertificateSigningRequest)
	return old
}

// CertificateApproval lets those approve a certificate signing request, or deny it, who may approve for its signer.
type CertificateApproval struct{ authz auth.Authorizer }

// Name is upstream's.
func (CertificateApproval) Name() string { return "CertificateApproval" }

// Admit does nothing.
func (CertificateApproval) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses.
func (p CertificateApproval) Validate(ctx context.Context, a *Attributes) error {
	csr := oldRequest(a, "certificatesigningrequests.certificates.k8s.io/approval")
	if csr == nil || maySign(ctx, p.authz, a, "approve", csr.Spec.SignerName) {
		return nil
	}
	return a.forbidden("user not permitted to approve requests with signerName %q", csr.Spec.SignerName)
}

// CertificateSigning lets those write a certificate into a request, or why there is none, who may sign for its signer.
type CertificateSigning struct{ authz auth.Authorizer }

// Name is upstream's.
func (CertificateSigning) Name() string { return "CertificateSigning" }

// Admit does nothing.
func (CertificateSigning) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses.
func (p CertificateSigning) Validate(ctx context.Context, a *Attributes) error {
	old := oldRequest(a, "certificatesigningrequests.certificates.k8s.io/status")
	if old == nil {
		return nil
	}
	next, ok := a.Object.(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return a.wrongType(p.Name())
	}
	same := bytes.Equal(old.Status.Certificate, next.Status.Certificate) && equality.Semantic.DeepEqual(old.Status.Conditions, next.Status.Conditions)
	if same || maySign(ctx, p.authz, a, "sign", old.Spec.SignerName) {
		return nil
	}
	return a.forbidden("user not permitted to sign requests with signerName %q", old.Spec.SignerName)
}

// CertificateSubjectRestriction keeps the signer of client certificates from making one of the group that may do everything.
type CertificateSubjectRestriction struct{}

// Name is upstream's.
func (CertificateSubjectRestriction) Name() string { return "CertificateSubjectRestriction" }

// Admit does nothing.
func (CertificateSubjectRestriction) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses.
func (p CertificateSubjectRestriction) Validate(_ context.Context, a *Attributes) error {
	if a.Operation != Create || !a.is("certificatesigningrequests.certificates.k8s.io") {
		return nil
	}
	csr, ok := a.Object.(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return a.wrongType(p.Name())
	}
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	parsed, err := parseRequest(csr.Spec.Request)
	if err != nil {
		return a.forbidden("failed to parse CSR: %w", err)
	}
	if slices.Contains(parsed.Subject.Organization, auth.Superusers) {
		return a.forbidden("use of %s signer with %s group is not allowed", certificatesv1.KubeAPIServerClientSignerName, auth.Superusers)
	}
	return nil
}

func parseRequest(encoded []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(encoded)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// ClusterTrustBundleAttest lets those publish the roots of a signer who may attest for it.
type ClusterTrustBundleAttest struct{ authz auth.Authorizer }

// Name is upstream's.
func (ClusterTrustBundleAttest) Name() string { return "ClusterTrustBundleAttest" }

// Admit does nothing.
func (ClusterTrustBundleAttest) Admit(context.Context, *Attributes) error { return nil }

// Validate refuses. That the signer stays the same is for the row to see to.
func (p ClusterTrustBundleAttest) Validate(ctx context.Context, a *Attributes) error {
	if !a.writes("clustertrustbundles.certificates.k8s.io") {
		return nil
	}
	bundle, ok := a.Object.(*certificatesv1.ClusterTrustBundle)
	if !ok {
		return a.wrongType(p.Name())
	}
	signer := bundle.Spec.SignerName
	if signer == "" || a.Operation == Update && onlyCollected(a) || maySign(ctx, p.authz, a, "attest", signer) {
		return nil
	}
	return a.forbidden("user not permitted to attest for signerName %q", signer)
}

// onlyCollected tells whether an update changes nothing but what the garbage collector writes.
func onlyCollected(a *Attributes) bool {
	next, ok := a.Object.DeepCopyObject().(resource.Object)
	old, ok2 := a.Old.(resource.Object)
	if !ok || !ok2 {
		return false
	}
	next.SetOwnerReferences(old.GetOwnerReferences())
	next.SetFinalizers(old.GetFinalizers())
	next.SetManagedFields(old.GetManagedFields())
	return equality.Semantic.DeepEqual(next, old)
}
