package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// checkHealth checks a response of /healthz or /readyz. It also checks the body, since other programs may answer with
// 200, too.
func checkHealth(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	var answer struct{ Status, Detail string }
	_ = json.Unmarshal(body, &answer) // another server's body leaves Status empty
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s", resp.Status, answer.Detail)
	case answer.Status == "":
		return errors.New("the answer is not that of a Duckwire server")
	}
	return nil
}
