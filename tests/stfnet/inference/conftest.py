"""A camera on the network, for the tests of captures and of what follows them."""

import http.server
import threading

import cv2
import numpy as np
import pytest


@pytest.fixture
def camera():
    """Address of a camera on the network that is switched off after 12 frames."""

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for k in range(12):
                image = cv2.imencode(".jpg", np.full((48, 64, 3), 20 * k, np.uint8))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}"
                self.wfile.write(head.encode() + b"\r\n\r\n" + image + b"\r\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/camera.mjpeg"
    server.shutdown()
    thread.join()
    server.server_close()
