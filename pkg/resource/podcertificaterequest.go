package resource

import (
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podCertificateRequests are how kubelets ask signers for the certificates of pods. Once one is issued, denied or failed it
// stays as it is.
func podCertificateRequests() *Row {
	row := Row{
		Resource: "podcertificaterequests", Singular: "podcertificaterequest", Kind: "PodCertificateRequest",
		Namespaced: true,
		Versions: []Version{
			servedAs[certificatesv1.PodCertificateRequest, certificatesv1.PodCertificateRequestList](certificatesv1.SchemeGroupVersion),
		},
		Prefix:  "podcertificaterequests",
		Unowned: map[string][]string{"status": {"metadata", "spec"}},
		Kept:    certificatesv1beta1.SchemeGroupVersion,
		Columns: podCertificateColumns(),
	}.with(rules(Rules[*certificatesv1.PodCertificateRequest]{
		Default:        func(p *certificatesv1.PodCertificateRequest) { orPtr(&p.Spec.MaxExpirationSeconds, 24*60*60) },
		PrepareCreate:  func(p *certificatesv1.PodCertificateRequest) { p.Status = certificatesv1.PodCertificateRequestStatus{} },
		PrepareUpdate:  func(next, old *certificatesv1.PodCertificateRequest) { next.Status = *old.Status.DeepCopy() },
		Validate:       validatePodCertificate,
		ValidateUpdate: validatePodCertificateUpdate,
		Fields: func(p *certificatesv1.PodCertificateRequest) map[string]string {
			return map[string]string{
				"spec.signerName": p.Spec.SignerName, "spec.podName": p.Spec.PodName, "spec.nodeName": string(p.Spec.NodeName),
			}
		},
		Cells: podCertificateCells,
		PrepareStatus: func(next, old *certificatesv1.PodCertificateRequest) {
			next.Spec = *old.Spec.DeepCopy()
			metav1.ResetObjectMetaForStatus(next, old)
		},
		ValidateStatus: func(next, old *certificatesv1.PodCertificateRequest) field.ErrorList {
			return validateMetaUpdate(next, old)
		},
	}))
	row.Status.ValidateSigned = func(next, old Object, by Signature) field.ErrorList {
		if len(validateMetaUpdate(next, old)) > 0 {
			return nil // which is told, and no more
		}
		return validatePodCertificateStatus(next.(*certificatesv1.PodCertificateRequest), old.(*certificatesv1.PodCertificateRequest), by.Now.Time)
	}
	return row
}

func podCertificateColumns() []metav1.TableColumnDefinition {
	spec := certificatesv1.PodCertificateRequestSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		nameColumn,
		column("PodName", spec["podName"]),
		column("ServiceAccountName", spec["serviceAccountName"]),
		column("NodeName", spec["nodeName"]),
		column("SignerName", spec["signerName"]),
		column("State", "Is the request Pending, Issued, Denied, or Failed?"),
		column("UnverifiedUserAnnotations", spec["unverifiedUserAnnotations"]),
	}
}

func podCertificateCells(p *certificatesv1.PodCertificateRequest, _ time.Time) []any {
	state := podCertificateState(p)
	if state == "" {
		state = "Pending"
	}
	s := &p.Spec
	return []any{p.Name, s.PodName, s.ServiceAccountName, string(s.NodeName), s.SignerName, state, labels.FormatLabels(s.UnverifiedUserAnnotations)}
}

// podCertificateStates are how a request can end.
var podCertificateStates = []string{
	certificatesv1.PodCertificateRequestConditionTypeIssued, certificatesv1.PodCertificateRequestConditionTypeDenied,
	certificatesv1.PodCertificateRequestConditionTypeFailed,
}

// podCertificateState is how the request ended, or "" if it has not.
func podCertificateState(p *certificatesv1.PodCertificateRequest) string {
	for _, state := range podCertificateStates {
		for _, c := range p.Status.Conditions {
			if c.Type == state && c.Status == metav1.ConditionTrue {
				return state
			}
		}
	}
	return ""
}

// prefixedKeys are annotations whose keys say by a domain whose they are.
func prefixedKeys(annotations map[string]string, path *place) field.ErrorList {
	var errs field.ErrorList
	for k := range sorted(annotations) {
		errs = append(errs, validation.IsDomainPrefixedKey(path.path(), strings.ToLower(k))...)
	}
	if apivalidation.ValidateAnnotationsSize(annotations) != nil {
		errs = append(errs, tooLongAt(path, "", apivalidation.TotalAnnotationSizeLimitB))
	}
	return errs
}
