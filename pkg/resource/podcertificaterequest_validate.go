package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// How long a pod's certificate may be good, in seconds, and how large its parts may be.
const (
	minPodCertificate           = 60 * 60
	maxPodCertificate           = 91 * 24 * 60 * 60
	maxKubernetesPodCertificate = 24 * 60 * 60
	maxStubRequest              = 10 << 10
	maxCertificateChain         = 128 << 10
)

func validatePodCertificate(p *certificatesv1.PodCertificateRequest) field.ErrorList {
	spec, s := newPlace("spec"), &p.Spec
	uid := func(uid, child string) field.ErrorList {
		return join(
			when(uid == "", invalidAt(spec.Child(child), uid, "must not be empty")),
			when(len(uid) > 128, tooLongAt(spec.Child(child), uid, 128)))
	}
	errs := join(
		validateMeta(p, true, subdomainName),
		signerName(s.SignerName, spec.Child("signerName")),
		prefixedKeys(s.UnverifiedUserAnnotations, spec.Child("unverifiedUserAnnotations")),
		dnsSubdomain(s.PodName, spec.Child("podName")), uid(string(s.PodUID), "podUID"),
		dnsSubdomain(s.ServiceAccountName, spec.Child("serviceAccountName")), uid(string(s.ServiceAccountUID), "serviceAccountUID"),
		dnsSubdomain(string(s.NodeName), spec.Child("nodeName")), uid(string(s.NodeUID), "nodeUID"),
	)
	if s.MaxExpirationSeconds == nil {
		return append(errs, requiredAt(spec.Child("maxExpirationSeconds"), "must be set"))
	}
	most := int32(maxPodCertificate)
	if isKubernetesSigner(s.SignerName) {
		most = maxKubernetesPodCertificate
	}
	if n := *s.MaxExpirationSeconds; n < minPodCertificate || n > most {
		errs = append(errs, invalidAt(spec.Child("maxExpirationSeconds"), n, fmt.Sprintf("must be in the range [%d, %d]", minPodCertificate, most)))
	}
	return append(errs, stubRequest(s.StubPKCS10Request, spec.Child("stubPKCS10Request"))...)
}

// stubRequest wants a signing request whose signature proves that the kubelet has the key. The first mistake is the only one told.
func stubRequest(der []byte, path *place) field.ErrorList {
	switch {
	case len(der) == 0:
		return field.ErrorList{invalidAt(newPlace("spec"), field.OmitValueType{}, "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set")}
	case len(der) > maxStubRequest:
		return field.ErrorList{tooLongAt(path, der, maxStubRequest)}
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return field.ErrorList{invalidAt(path, field.OmitValueType{}, "must be a valid PKCS#10 CSR")}
	}
	if errs := stubKey(request.PublicKey, path); len(errs) > 0 {
		return errs
	}
	return when(request.CheckSignature() != nil, invalidAt(path, field.OmitValueType{}, "invalid signature"))
}

func stubKey(key any, path *place) field.ErrorList {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		known := slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve)
		return when(!known, invalidAt(path, "curve "+key.Params().Name, "elliptic public keys must use curve P256, P384, or P521"))
	case *rsa.PublicKey:
		bits := key.Size() * 8
		return when(bits != 3072 && bits != 4096, invalidAt(path, fmt.Sprintf("%d-bit modulus", bits), "RSA keys must have modulus size 3072 or 4096"))
	}
	return field.ErrorList{invalidAt(path, field.OmitValueType{}, "unknown public key type; supported types are Ed25519, ECDSA, and RSA")}
}

func validatePodCertificateUpdate(next, old *certificatesv1.PodCertificateRequest) field.ErrorList {
	return join(validateMetaUpdate(next, old), when(!same(next.Spec, old.Spec), invalidAt(newPlace("spec"), shownPodCertificate(&next.Spec), apivalidation.FieldImmutableErrorMsg)))
}

// shownSpec is the spec as refusals show it: with the fields of older versions, and by the names of the server's own.
type shownSpec struct {
	SignerName, PodName, PodUID, ServiceAccountName, ServiceAccountUID, NodeName, NodeUID string
	MaxExpirationSeconds                                                                  *int32
	PKIXPublicKey, ProofOfPossession, StubPKCS10Request                                   []byte
	UnverifiedUserAnnotations                                                             map[string]string
}

func shownPodCertificate(s *certificatesv1.PodCertificateRequestSpec) shownSpec {
	return shownSpec{s.SignerName, s.PodName, string(s.PodUID), s.ServiceAccountName, string(s.ServiceAccountUID), string(s.NodeName), string(s.NodeUID),
		s.MaxExpirationSeconds, nil, nil, s.StubPKCS10Request, s.UnverifiedUserAnnotations}
}

// validatePodCertificateStatus lets the status go from nothing to one of its ends, once.
func validatePodCertificateStatus(next, old *certificatesv1.PodCertificateRequest, now time.Time) field.ErrorList {
	status := newPlace("status")
	if errs := podCertificateConditions(next.Status.Conditions); len(errs) > 0 {
		return errs
	}
	fixed := func(is, want certificatesv1.PodCertificateRequestStatus, why string) field.ErrorList {
		return when(!same(is, want), invalidAt(status, field.OmitValueType{}, why))
	}
	if podCertificateState(old) != "" {
		return fixed(next.Status, old.Status, "immutable after PodCertificateRequest is issued, denied, or failed")
	}
	switch podCertificateState(next) {
	case certificatesv1.PodCertificateRequestConditionTypeDenied, certificatesv1.PodCertificateRequestConditionTypeFailed:
		return fixed(next.Status, certificatesv1.PodCertificateRequestStatus{Conditions: next.Status.Conditions},
			"non-condition status fields must be empty when denying or failing the PodCertificateRequest")
	case certificatesv1.PodCertificateRequestConditionTypeIssued:
		return issuedCertificate(next, old, now)
	}
	return fixed(next.Status, old.Status, `status is immutable unless transitioning to "Issued", "Denied", or "Failed"`)
}

func podCertificateConditions(list []metav1.Condition) field.ErrorList {
	var errs field.ErrorList
	ends := 0
	for i, c := range list {
		at := newPlace("status", "conditions", "["+strconv.Itoa(i)+"]")
		if !slices.Contains(podCertificateStates, c.Type) {
			errs = append(errs, notSupportedAt(at.Child("type"), c.Type, podCertificateStates))
			continue
		}
		ends++
		errs = append(errs, when(ends > 1, invalidAt(at.Child("type"), c.Type,
			`There may be at most one condition with type "Issued", "Denied", or "Failed"`))...)
		errs = append(errs, oneOf(c.Status, at.Child("status"), metav1.ConditionTrue)...)
	}
	return append(errs, metavalidation.ValidateConditions(list, field.NewPath("status", "conditions"))...)
}

// issuedCertificate wants a certificate for the requested key, and the status to say of it what it says itself. The first
// mistake is the only one told.
func issuedCertificate(next, old *certificatesv1.PodCertificateRequest, now time.Time) field.ErrorList {
	path, chain := newPlace("status", "certificateChain"), next.Status.CertificateChain
	if len(chain) > maxCertificateChain {
		return field.ErrorList{tooLongAt(path, chain, maxCertificateChain)}
	}
	leaf, wrong := readChain(chain)
	if leaf == nil {
		return field.ErrorList{invalidAt(path, chain, wrong)}
	}
	errs := leafNames(leaf, path)
	request, err := x509.ParseCertificateRequest(old.Spec.StubPKCS10Request)
	if err != nil {
		return append(errs, invalidAt(newPlace("spec", "stubPKCS10Request"), field.OmitValueType{}, "must be a valid PKCS#10 CSR"))
	}
	if key, ok := request.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(leaf.PublicKey) {
		return append(errs, invalidAt(path, chain, "leaf certificate was not issued to the requested public key"))
	}
	if errs = append(errs, certificateTimes(&next.Status)...); len(errs) > 0 {
		return errs
	}
	if errs := certificateLifetime(next, leaf, now); len(errs) > 0 {
		return errs
	}
	return when(wrong != "", invalidAt(path, chain, wrong))
}

// readChain returns the first certificate, or what is wrong with it; and what is wrong with those after it.
func readChain(chain string) (leaf *x509.Certificate, wrong string) {
	block, rest := pem.Decode([]byte(chain))
	switch {
	case block == nil:
		return nil, "issued certificate chain must contain at least one certificate"
	case block.Type != "CERTIFICATE":
		return nil, "issued certificate chain must consist entirely of CERTIFICATE PEM blocks"
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, "leaf certificate does not parse as valid X.509"
	}
	for block, rest = pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return leaf, "issued certificate chain must consist entirely of CERTFICATE PEM blocks"
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return leaf, "intermediate certificate does not parse as valid X.509"
		}
	}
	return leaf, ""
}

func leafNames(leaf *x509.Certificate, path *place) field.ErrorList {
	var errs field.ErrorList
	for _, n := range leaf.DNSNames {
		errs = join(errs,
			when(n == "", invalidAt(path, n, "leaf certificate should not contain empty DNSName")),
			when(strings.Contains(n, ".."), invalidAt(path, n, "leaf certificate's DNSName should not contain '..'")),
			when(strings.HasPrefix(n, ".") || strings.HasSuffix(n, "."),
				invalidAt(path, n, "leaf certificate's DNSName should not start or end with '.'")))
	}
	for _, a := range leaf.EmailAddresses {
		_, err := mail.ParseAddress(a)
		errs = append(errs, when(err != nil, invalidAt(path, a, "leaf certificate should not contain invalid EmailAddress"))...)
	}
	return errs
}

func certificateTimes(s *certificatesv1.PodCertificateRequestStatus) field.ErrorList {
	const consistent = "must be present and consistent with the issued certificate"
	status := newPlace("status")
	return join(
		when(s.NotBefore == nil, requiredAt(status.Child("notBefore"), consistent)),
		when(s.NotAfter == nil, requiredAt(status.Child("notAfter"), consistent)),
		when(s.BeginRefreshAt == nil, requiredAt(status.Child("beginRefreshAt"), "must be present and in the range [notbefore+10min, notafter-10min]")),
	)
}

// certificateLifetime compares the times in the status with those in the certificate, and with what was asked for.
func certificateLifetime(p *certificatesv1.PodCertificateRequest, leaf *x509.Certificate, now time.Time) field.ErrorList {
	s, status := &p.Status, newPlace("status")
	const margin = 10 * time.Minute
	lifetime := leaf.NotAfter.Sub(leaf.NotBefore)
	most := int32(0)
	if p.Spec.MaxExpirationSeconds != nil {
		most = *p.Spec.MaxExpirationSeconds
	}
	var e *field.Error
	switch refresh := s.BeginRefreshAt.Time; {
	case !s.NotBefore.Time.Equal(leaf.NotBefore):
		e = invalidAt(status.Child("notBefore"), s.NotBefore.Time, "must be set to the NotBefore time encoded in the leaf certificate")
	case !fresh(s.NotBefore.Time, now):
		e = invalidAt(status.Child("notBefore"), s.NotBefore.Time, "must be set to within 5 minutes of kube-apiserver's current time")
	case !s.NotAfter.Time.Equal(leaf.NotAfter):
		e = invalidAt(status.Child("notAfter"), s.NotAfter.Time, "must be set to the NotAfter time encoded in the leaf certificate")
	case lifetime < time.Hour:
		e = invalidAt(status.Child("certificateChain"), lifetime, "leaf certificate lifetime must be >= 1 hour")
	case lifetime > time.Duration(most)*time.Second:
		e = invalidAt(status.Child("certificateChain"), lifetime, fmt.Sprintf("leaf certificate lifetime must be <= spec.maxExpirationSeconds (%v)", most))
	case refresh.Before(s.NotBefore.Add(margin)):
		e = invalidAt(status.Child("beginRefreshAt"), refresh, "must be at least 10 minutes after status.notBefore")
	case refresh.After(s.NotAfter.Add(-margin)):
		e = invalidAt(status.Child("beginRefreshAt"), refresh, "must be at least 10 minutes before status.notAfter")
	default:
		return nil
	}
	return field.ErrorList{e}
}

// fresh tells whether a certificate that is good from at on was issued now.
func fresh(at, now time.Time) bool {
	const skew = 5 * time.Minute
	return at.After(now.Add(-skew)) && at.Before(now.Add(skew))
}
