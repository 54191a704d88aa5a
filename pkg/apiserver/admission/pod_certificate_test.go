package admission

import (
	"context"
	"testing"

	"bonsai/pkg/apiserver/auth"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Node oak asks for a certificate for pod web, which mounts one of the signer shop.io/mesh.
func TestNodeRestrictionOnPodCertificates(t *testing.T) {
	g := cluster()
	for _, n := range []string{"oak", "elm"} {
		g["nodes//"+n] = &corev1.Node{ObjectMeta: named("", n)}
	}
	runs := func(name, node string, change func(*corev1.Pod)) {
		g["pods/shop/"+name] = pod(func(p *corev1.Pod) {
			p.ObjectMeta = named("shop", name)
			p.Spec.NodeName, p.Spec.ServiceAccountName = node, "default"
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{PodCertificate: &corev1.PodCertificateProjection{SignerName: "shop.io/mesh"}}}}}}}
			if change != nil {
				change(p)
			}
		})
	}
	runs("web", "oak", nil)
	runs("db", "elm", nil)
	runs("static", "oak", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "h"} })
	runs("orphan", "oak", func(p *corev1.Pod) { p.Spec.ServiceAccountName = "gone" })
	const refused = `podcertificaterequests.certificates.k8s.io "r" is forbidden: `
	for name, tc := range map[string]struct {
		change func(*certificatesv1.PodCertificateRequestSpec)
		want   string
	}{
		"own pod":             {func(*certificatesv1.PodCertificateRequestSpec) {}, ""},
		"for another node":    {func(s *certificatesv1.PodCertificateRequestSpec) { s.NodeName = "elm" }, refused + `PodCertificateRequest.Spec.NodeName="elm", which is not the requesting node "oak"`},
		"for an earlier node": {func(s *certificatesv1.PodCertificateRequestSpec) { s.NodeUID = "old" }, `PodCertificateRequest for pod "shop/web" names node UID "old", inconsistent with the running node ("oak-uid")`},
		"no pod":              {func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName = "none" }, `while retrieving pod "shop/none" named in the PodCertificateRequest: pod "none" not found`},
		"an earlier pod":      {func(s *certificatesv1.PodCertificateRequestSpec) { s.PodUID = "old" }, `PodCertificateRequest for pod "shop/web" contains pod UID ("old") which differs from running pod "web-uid"`},
		"a pod elsewhere":     {func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName, s.PodUID = "db", "db-uid" }, refused + `pod "shop/db" is not running on node "oak" named in the PodCertificateRequest`},
		"a mirror pod":        {func(s *certificatesv1.PodCertificateRequestSpec) { s.PodName, s.PodUID = "static", "static-uid" }, refused + `pod "shop/static" is a mirror pod`},
		"another account":     {func(s *certificatesv1.PodCertificateRequestSpec) { s.ServiceAccountName = "admin" }, refused + `PodCertificateRequest for pod "shop/web" contains serviceAccountName ("admin") that differs from running pod ("default")`},
		"an account that is gone": {func(s *certificatesv1.PodCertificateRequestSpec) {
			s.PodName, s.PodUID, s.ServiceAccountName = "orphan", "orphan-uid", "gone"
		}, `while retrieving service account "shop/gone" named in the PodCertificateRequest: serviceaccount "gone" not found`},
		"an earlier account":  {func(s *certificatesv1.PodCertificateRequestSpec) { s.ServiceAccountUID = "old" }, `PodCertificateRequest for pod "shop/web" names service account UID "old", which differs from the running service account ("default-uid")`},
		"a signer it may ask": {func(s *certificatesv1.PodCertificateRequestSpec) { s.SignerName = "shop.io/extra" }, ""},
		"another signer":      {func(s *certificatesv1.PodCertificateRequestSpec) { s.SignerName = "shop.io/other" }, refused + `pod "shop/web" does not mount a podCertificate projected volume for signer "shop.io/other"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := &certificatesv1.PodCertificateRequest{ObjectMeta: named("shop", "r"), Spec: certificatesv1.PodCertificateRequestSpec{SignerName: "shop.io/mesh",
				NodeName: "oak", NodeUID: "oak-uid", PodName: "web", PodUID: "web-uid", ServiceAccountName: "default", ServiceAccountUID: "default-uid"}}
			tc.change(&r.Spec)
			p := NodeRestriction{g, rights{"request-serviceaccounts-podcertificate-signer shop.io:extra shop default"}}
			check(t, tc.want, p.Admit(context.Background(), asNode(request(Create, "podcertificaterequests.certificates.k8s.io", r, nil), "oak")))
		})
	}
	update := request(Update, "podcertificaterequests.certificates.k8s.io", nil, &certificatesv1.PodCertificateRequest{ObjectMeta: named("shop", "r")})
	check(t, refused+"unexpected operation UPDATE", run(t, g, asNode(update, "oak")))
}

// Who ends a request has to be one of its signer's, or of those of its domain.
func TestPodCertificateSigning(t *testing.T) {
	old := &certificatesv1.PodCertificateRequest{ObjectMeta: named("shop", "r"), Spec: certificatesv1.PodCertificateRequestSpec{SignerName: "shop.io/mesh"}}
	denied := old.DeepCopy()
	denied.Status.Conditions = []metav1.Condition{{Type: "Denied", Status: "True"}}
	denied.Spec.SignerName = "mine.io/mesh" // which is not what counts
	for name, tc := range map[string]struct {
		rights rights
		next   *certificatesv1.PodCertificateRequest
		want   string
	}{
		"nobody":              {nil, denied, `podcertificaterequests.certificates.k8s.io "r" is invalid: spec.signerName: Forbidden: User "u" is not permitted to "sign" for signer "shop.io/mesh"`},
		"nobody, no change":   {nil, old, ""},
		"signer":              {rights{"sign signers  shop.io/mesh"}, denied, ""},
		"signer of a domain":  {rights{"sign signers  shop.io/*"}, denied, ""},
		"signer of another's": {rights{"sign signers  mine.io/mesh"}, denied, `podcertificaterequests.certificates.k8s.io "r" is invalid: spec.signerName: Forbidden: User "u" is not permitted to "sign" for signer "shop.io/mesh"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := request(Update, "podcertificaterequests.certificates.k8s.io/status", tc.next, old)
			a.User = auth.User{Name: "u"}
			check(t, tc.want, PodCertificateSigning{tc.rights}.Validate(context.Background(), a))
		})
	}
}
