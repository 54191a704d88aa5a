package resource

import (
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// certificateSigningRequests ask a signer for a certificate. Three parties write one, each its own part: whoever asks makes
// it, and nothing in it changes after; an approver says yes or no through approval; the signer puts the certificate, or why
// there is none, into the status.
//
//	Pending ── approval ──▶ Approved ── status ──▶ Issued
//	   └────── approval ──▶ Denied        └──────▶ Failed
func certificateSigningRequests() *Row {
	gv := certificatesv1.SchemeGroupVersion
	return Row{
		Resource: "certificatesigningrequests", Singular: "certificatesigningrequest", Kind: "CertificateSigningRequest",
		ShortNames: []string{"csr"},
		Versions:   []Version{servedAs[certificatesv1.CertificateSigningRequest, certificatesv1.CertificateSigningRequestList](gv)},
		Prefix:     "certificatesigningrequests",
		Unowned: map[string][]string{
			"": {"spec", "status"}, "status": {"spec", "status.conditions"}, "approval": {"spec", "status.certificate"},
		},
		Columns: csrColumns(), UnconditionalUpdate: true,
		Subresources: []Subresource{{
			Name: "approval", Kind: "CertificateSigningRequest", GroupVersion: gv, Verbs: []string{"get", "patch", "update"},
			Update: &Status{Prepare: two(prepareApproval), Sign: twoSigned(signCSRConditions), Validate: twoErrs(validateApproval)},
		}},
	}.with(rules(Rules[*certificatesv1.CertificateSigningRequest]{
		PrepareCreate: func(c *certificatesv1.CertificateSigningRequest) {
			c.Status = certificatesv1.CertificateSigningRequestStatus{}
		},
		Sign:           signCSR,
		PrepareUpdate:  prepareCSRUpdate,
		Validate:       validateCSR,
		ValidateUpdate: validateCSRUpdate,
		Fields: func(c *certificatesv1.CertificateSigningRequest) map[string]string {
			return map[string]string{"spec.signerName": c.Spec.SignerName}
		},
		Cells:          csrCells,
		PrepareStatus:  prepareCSRStatus,
		SignStatus:     signCSRConditions,
		ValidateStatus: validateCSRStatus,
	}))
}

// signCSR notes who asks: approvers decide by it, so nobody may say it of himself.
func signCSR(c *certificatesv1.CertificateSigningRequest, by Signature) {
	c.Spec.Username, c.Spec.UID, c.Spec.Groups, c.Spec.Extra = by.User, by.UID, by.Groups, nil
	for k, v := range by.Extra {
		if c.Spec.Extra == nil {
			c.Spec.Extra = map[string]certificatesv1.ExtraValue{}
		}
		c.Spec.Extra[k] = v
	}
}

func prepareCSRUpdate(next, old *certificatesv1.CertificateSigningRequest) {
	next.Spec, next.Status = *old.Spec.DeepCopy(), *old.Status.DeepCopy()
}

// prepareCSRStatus keeps the decision. If it was added or taken away, that stays to be refused.
func prepareCSRStatus(next, old *certificatesv1.CertificateSigningRequest) {
	next.Spec = *old.Spec.DeepCopy()
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		is, was := conditionIndices(next, t), conditionIndices(old, t)
		if len(is) != len(was) {
			continue
		}
		for i := range is {
			next.Status.Conditions[is[i]] = old.Status.Conditions[was[i]]
		}
	}
}

func conditionIndices(c *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) []int {
	var all []int
	for i := range c.Status.Conditions {
		if c.Status.Conditions[i].Type == t {
			all = append(all, i)
		}
	}
	return all
}

func prepareApproval(next, old *certificatesv1.CertificateSigningRequest) {
	conditions := next.Status.Conditions
	prepareCSRUpdate(next, old)
	next.Status.Conditions = conditions
}

// signCSRConditions says when, of the conditions that do not.
func signCSRConditions(next, old *certificatesv1.CertificateSigningRequest, by Signature) {
	for i := range next.Status.Conditions {
		c := &next.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = by.Now
		}
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = by.Now
		for _, was := range old.Status.Conditions {
			if was.Type == c.Type && was.Status == c.Status && !was.LastTransitionTime.IsZero() {
				c.LastTransitionTime = was.LastTransitionTime
				break
			}
		}
	}
}

func csrColumns() []metav1.TableColumnDefinition {
	spec := certificatesv1beta1.CertificateSigningRequestSpec{}.SwaggerDoc() // whose words are shown for all versions
	return []metav1.TableColumnDefinition{
		nameColumn, ageColumn,
		column("SignerName", spec["signerName"]),
		column("Requestor", spec["request"]),
		column("RequestedDuration", spec["expirationSeconds"]),
		column("Condition", certificatesv1beta1.CertificateSigningRequestStatus{}.SwaggerDoc()["conditions"]),
	}
}

func csrCells(c *certificatesv1.CertificateSigningRequest, now time.Time) []any {
	asked := "<none>"
	if s := c.Spec.ExpirationSeconds; s != nil {
		asked = duration.HumanDuration(time.Duration(*s) * time.Second)
	}
	return []any{c.Name, age(c, now), orNone(c.Spec.SignerName), c.Spec.Username, asked, csrCondition(c)}
}

// csrCondition is how far the request has come: "Approved,Issued".
func csrCondition(c *certificatesv1.CertificateSigningRequest) string {
	has := func(t certificatesv1.RequestConditionType) bool { return len(conditionIndices(c, t)) > 0 }
	words := []string{"Pending"}
	switch {
	case has(certificatesv1.CertificateDenied):
		words[0] = "Denied"
	case has(certificatesv1.CertificateApproved):
		words[0] = "Approved"
	}
	if has(certificatesv1.CertificateFailed) {
		words = append(words, "Failed")
	}
	if len(c.Status.Certificate) > 0 {
		words = append(words, "Issued")
	}
	return strings.Join(words, ",")
}
