package resource

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// keyUsages are what a certificate can be good for, sorted as messages show them.
var keyUsages = []certificatesv1.KeyUsage{
	certificatesv1.UsageAny, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
	certificatesv1.UsageContentCommitment, certificatesv1.UsageCRLSign, certificatesv1.UsageDataEncipherment,
	certificatesv1.UsageDecipherOnly, certificatesv1.UsageDigitalSignature, certificatesv1.UsageEmailProtection,
	certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
	certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment,
	certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning,
	certificatesv1.UsageSMIME, certificatesv1.UsageServerAuth, certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
}

// legacySigner was the signer of requests from before there were signers.
const legacySigner = "kubernetes.io/legacy-unknown"

// finalDecisions are the conditions that, once there, are true and stay.
var finalDecisions = []certificatesv1.RequestConditionType{
	certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed,
}

// csrCheck is what is not refused: what only one way of writing may do, and what is wrong already and stays so.
type csrCheck struct {
	mayDecide, maySetCertificate                   bool
	bothDecisions, legacySigner, twins, emptyTypes bool
	anyCertificate, twinUsages, unknownUsages      bool
}

// checkAgainst tolerates what is wrong in old.
func checkAgainst(next, old *certificatesv1.CertificateSigningRequest) csrCheck {
	kept := bytes.Equal(next.Status.Certificate, old.Status.Certificate)
	return csrCheck{
		bothDecisions: len(conditionIndices(old, certificatesv1.CertificateApproved)) > 0 &&
			len(conditionIndices(old, certificatesv1.CertificateDenied)) > 0,
		legacySigner:   old.Spec.SignerName == legacySigner,
		twins:          hasTwins(old.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) string { return string(c.Type) }),
		emptyTypes:     len(conditionIndices(old, "")) > 0,
		anyCertificate: kept || certificateProblem(old.Status.Certificate) != nil,
		twinUsages:     hasTwins(old.Spec.Usages, func(u certificatesv1.KeyUsage) string { return string(u) }),
		unknownUsages: slices.ContainsFunc(old.Spec.Usages, func(u certificatesv1.KeyUsage) bool {
			return !slices.Contains(keyUsages, u)
		}),
	}
}

func hasTwins[T any](list []T, key func(T) string) bool {
	seen := taken{}
	return slices.ContainsFunc(list, func(v T) bool { return !seen.claim(key(v)) })
}

// validateCSR lets a request have any name that can be asked for, which is looked at if all else is well.
func validateCSR(c *certificatesv1.CertificateSigningRequest) field.ErrorList {
	if errs := (csrCheck{}).request(c); len(errs) > 0 {
		return errs
	}
	return validateMeta(c, false, pathSegment)
}

func (k csrCheck) request(c *certificatesv1.CertificateSigningRequest) field.ErrorList {
	spec := newPlace("spec")
	errs := validateMeta(c, false, func(string, bool) []string { return nil })
	if err := signingRequestProblem(c.Spec.Request); err != nil {
		errs = append(errs, invalidAt(spec.Child("request"), c.Spec.Request, err.Error()))
	}
	errs = append(errs, k.usages(c.Spec.Usages, spec.Child("usages"))...)
	signer := spec.Child("signerName")
	if !k.legacySigner && c.Spec.SignerName == legacySigner {
		errs = append(errs, invalidAt(signer, c.Spec.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		errs = append(errs, signerName(c.Spec.SignerName, signer)...)
	}
	if s := c.Spec.ExpirationSeconds; s != nil && *s < 600 {
		errs = append(errs, invalidAt(spec.Child("expirationSeconds"), *s, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	errs = append(errs, k.conditions(c.Status.Conditions, newPlace("status", "conditions"))...)
	if err := certificateProblem(c.Status.Certificate); err != nil && !k.anyCertificate {
		errs = append(errs, invalidAt(newPlace("status", "certificate"), "<certificate data>", err.Error()))
	}
	return errs
}

func (k csrCheck) usages(usages []certificatesv1.KeyUsage, path *place) field.ErrorList {
	errs := when(len(usages) == 0, requiredAt(path, ""))
	for i, u := range usages {
		if !k.unknownUsages {
			errs = append(errs, oneOf(u, path.Index(i), keyUsages...)...)
		}
	}
	seen := taken{}
	for i, u := range usages {
		errs = append(errs, when(!seen.claim(string(u)) && !k.twinUsages, duplicateAt(path.Index(i), u))...)
	}
	return errs
}

func (k csrCheck) conditions(list []certificatesv1.CertificateSigningRequestCondition, path *place) field.ErrorList {
	seen := taken{}
	errs := each(list, path, func(c *certificatesv1.CertificateSigningRequestCondition, path *place) field.ErrorList {
		errs := when(c.Type == "" && !k.emptyTypes, requiredAt(path.Child("type"), ""))
		allowed := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
		if slices.Contains(finalDecisions, c.Type) {
			allowed = []corev1.ConditionStatus{corev1.ConditionTrue}
		}
		errs = append(errs, presentOneOf(c.Status, path.Child("status"), allowed...)...)
		return append(errs, when(!seen.claim(string(c.Type)) && !k.twins, duplicateAt(path.Child("type"), c.Type))...)
	})
	both := seen[string(certificatesv1.CertificateApproved)] && seen[string(certificatesv1.CertificateDenied)]
	return append(errs, when(both && !k.bothDecisions, invalidAt(path, "{"+approvedItem+", "+deniedItem+"}",
		"must specify at most one of: `"+approvedItem+"`, `"+deniedItem+"`"))...)
}

// How messages name the two decisions, of which there may be one.
const (
	approvedItem = `conditions[{"type": "Approved"}]`
	deniedItem   = `conditions[{"type": "Denied"}]`
)

func validateCSRUpdate(next, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	return checkAgainst(next, old).update(next, old)
}

func validateCSRStatus(next, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	k := checkAgainst(next, old)
	k.maySetCertificate = true
	return k.update(next, old)
}

func validateApproval(next, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	k := checkAgainst(next, old)
	k.mayDecide = true
	return k.update(next, old)
}

func (k csrCheck) update(next, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	errs := join(validateMetaUpdate(next, old), k.request(next))
	path := newPlace("status", "conditions")
	for _, t := range finalDecisions {
		gone := len(conditionIndices(next, t)) < len(conditionIndices(old, t))
		errs = append(errs, when(gone, forbiddenAt(path, fmt.Sprintf("updates may not remove a condition of type %q", t)))...)
	}
	if !k.mayDecide {
		errs = append(errs, keptDecisions(next, old, path)...)
	}
	certificate := newPlace("status", "certificate")
	switch {
	case bytes.Equal(next.Status.Certificate, old.Status.Certificate):
	case !k.maySetCertificate:
		errs = append(errs, forbiddenAt(certificate, "updates may not set certificate content"))
	case len(old.Status.Certificate) > 0:
		errs = append(errs, forbiddenAt(certificate, "updates may not modify existing certificate content"))
	}
	return errs
}

// keptDecisions refuses a decision that came or changed otherwise than through approval.
func keptDecisions(next, old *certificatesv1.CertificateSigningRequest, path *place) field.ErrorList {
	var errs field.ErrorList
	for _, t := range finalDecisions[:2] {
		is, was := conditionsOf(next, t), conditionsOf(old, t)
		switch {
		case len(is) > len(was):
			errs = append(errs, forbiddenAt(path, fmt.Sprintf("updates may not add a condition of type %q", t)))
		case len(is) == len(was) && !same(is, was):
			errs = append(errs, forbiddenAt(path, fmt.Sprintf("updates may not modify a condition of type %q\n%v", t, cmp.Diff(was, is))))
		}
	}
	return errs
}

func conditionsOf(c *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var all []certificatesv1.CertificateSigningRequestCondition
	for _, i := range conditionIndices(c, t) {
		all = append(all, c.Status.Conditions[i])
	}
	return all
}

// signingRequestProblem says what is wrong with a request in PEM form. Its signature proves that whoever made it has the key.
func signingRequestProblem(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	return request.CheckSignature()
}

// certificateProblem says what is wrong with certificates in PEM form. Text between them is for people.
func certificateProblem(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		found = true
		switch {
		case block.Type != "CERTIFICATE":
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		case len(block.Headers) != 0:
			return errors.New("no PEM block headers are permitted")
		}
		certs, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(certs) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}
