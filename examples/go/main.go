// Orders a notebook for the team TEAM, waits until it is ready and starts your server.
//
// Reads API, TOKEN and TEAM from the environment. Needs the standard library only. Can be run again: what exists
// already stays as it is.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Problem is why the API refused a request. Its code is stable, and listCodes explains it.
type Problem struct {
	Code   string
	Detail string
	Errors []struct{ Pointer, Message string }
}

func (p *Problem) Error() string {
	text := p.Code + ": " + p.Detail
	for _, fault := range p.Errors {
		text += "\n  " + fault.Pointer + ": " + fault.Message
	}
	return text
}

// The fields that are used here; answers have more.
type (
	Member   struct{ Email, Username string }
	Team     struct{ Members []Member }
	Notebook struct{ Status struct{ Phase string } }
	Me       struct{ Email string }

	Operation struct {
		ID       string
		Done     bool
		Progress int
		Message  string
		Error    *Problem
		Result   struct{ URL string }
	}
)

var client = http.Client{Timeout: 30 * time.Second}

// call sends a request and returns the answer; a refusal is a *Problem.
func call[Answer any](method, path string, body any) (Answer, error) {
	var answer Answer
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return answer, err
		}
	}
	request, err := http.NewRequest(method, os.Getenv("API")+"/v1"+path, &payload)
	if err != nil {
		return answer, err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	if !strings.Contains(response.Header.Get("Content-Type"), "json") {
		return answer, fmt.Errorf("%s %s answered %s", method, path, response.Status)
	}
	if response.StatusCode >= 400 {
		problem := new(Problem)
		if err := json.NewDecoder(response.Body).Decode(problem); err != nil {
			return answer, err
		}
		return answer, problem
	}
	return answer, json.NewDecoder(response.Body).Decode(&answer)
}

func hasCode(err error, code string) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == code
}

func teamOf(slug string) (Team, error) {
	team, err := call[Team]("GET", "/teams/"+url.PathEscape(slug), nil)
	if hasCode(err, "not_found") {
		return call[Team]("POST", "/teams", map[string]string{"slug": slug})
	}
	return team, err
}

func notebookOf(slug string) (Notebook, error) {
	notebook, err := call[Notebook]("GET", "/teams/"+url.PathEscape(slug)+"/notebook", nil)
	if hasCode(err, "notebook_not_ordered") {
		// Every field that the order leaves out gets its default.
		return call[Notebook]("PUT", "/teams/"+url.PathEscape(slug)+"/notebook", struct{}{})
	}
	return notebook, err
}

func waitUntilReady(slug string, notebook Notebook) error {
	deadline := time.Now().Add(15 * time.Minute)
	for notebook.Status.Phase != "Ready" {
		if time.Now().After(deadline) {
			return fmt.Errorf("the notebook is still %s", notebook.Status.Phase)
		}
		time.Sleep(time.Second)
		var err error
		if notebook, err = call[Notebook]("GET", "/teams/"+url.PathEscape(slug)+"/notebook", nil); err != nil {
			return err
		}
	}
	return nil
}

func startServer(slug, user string) (string, error) {
	operation, err := call[Operation]("POST", "/teams/"+url.PathEscape(slug)+"/servers/"+url.PathEscape(user)+"/start", struct{}{})
	for err == nil && !operation.Done {
		fmt.Fprintf(os.Stderr, "%d %% %s\n", operation.Progress, operation.Message)
		time.Sleep(time.Second)
		operation, err = call[Operation]("GET", "/teams/"+url.PathEscape(slug)+"/operations/"+operation.ID, nil)
	}
	if err == nil && operation.Error != nil {
		err = operation.Error
	}
	return operation.Result.URL, err
}

func run(slug string) (string, error) {
	team, err := teamOf(slug)
	if err != nil {
		return "", err
	}
	notebook, err := notebookOf(slug)
	if err != nil {
		return "", err
	}
	if err := waitUntilReady(slug, notebook); err != nil {
		return "", err
	}
	me, err := call[Me]("GET", "/me", nil)
	if err != nil {
		return "", err
	}
	own := slices.IndexFunc(team.Members, func(member Member) bool { return member.Email == me.Email })
	if own < 0 {
		return "", fmt.Errorf("%s is not a member of %s", me.Email, slug)
	}
	return startServer(slug, team.Members[own].Username)
}

func main() {
	address, err := run(os.Getenv("TEAM"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(address)
}
