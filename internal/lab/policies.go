package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"lumacore.dev/lumacore/internal/lab/pki"
)

// generatedPolicies is where etcd has the ValidatingAdmissionPolicies that Gatekeeper
// generates.
const generatedPolicies = "/registry/validatingadmissionpolicies/gatekeeper-"

// forgetPolicies deletes, before the API server starts on the data of an earlier run, the
// policies that Gatekeeper generates; it generates them again when it starts.
//
// An API server looks up the kinds of policies' parameters as soon as it has the policies,
// which is before it serves what CRDs define, and looks again after 30 seconds only
// (https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/apiserver/pkg/server/options/admission.go).
// Until then such a policy denies everything. Meanwhile Gatekeeper's webhook, which stays
// registered, closes production.
func (l *Lab) forgetPolicies(ctx context.Context, s settings) error {
	// etcd's JSON API, https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/.
	end := []byte(generatedPolicies)
	end[len(end)-1]++
	body, err := json.Marshal(map[string][]byte{"key": []byte(generatedPolicies), "range_end": end})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+s.Ports.addr("etcd")+"/v3/kv/deleterange", bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := pki.Dir(l.path("pki")).HTTPClient("kube-apiserver-etcd").Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return fmt.Errorf("delete %s in etcd: %s: %s", generatedPolicies, res.Status, why)
	}
	return nil
}
