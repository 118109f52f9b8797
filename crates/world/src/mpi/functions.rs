//! The functions of an MPI library that was opened at run time: the only unsafe code of this crate.
//!
//! Three ABIs differ in what a handle is and in three constants: MPI 5.0's standard one, MPICH's (also Intel's and Cray's), and
//! Open MPI's. Twelve functions are used, and messages are bytes alone.

#![allow(unsafe_code)]

use std::error::Error;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;
use std::thread::{self, ThreadId};

use libloading::Library;

use super::calls::{Calls, Connected, Failed};

/// The most bytes of one message: counts are C ints.
const MOST: usize = 1 << 30;

/// The result of a call that succeeded, in every ABI.
const SUCCESS: c_int = 0;

/// Memory for an `MPI_Status`, which has at most 40 bytes in any of the ABIs. Nobody reads it.
type Status = [u64; 8];

type Transfer<B, H> = unsafe extern "C" fn(B, c_int, H, c_int, c_int, H, *mut H) -> c_int;
type Text = unsafe extern "C" fn(*mut c_char, *mut c_int) -> c_int;

/// A library that is open but not initialised.
pub(super) struct Opened {
    library: Library,
    is_standard: bool,
}

/// The functions, for the handles of one ABI.
struct Functions<H> {
    isend: Transfer<*const c_void, H>,
    irecv: Transfer<*mut c_void, H>,
    test: unsafe extern "C" fn(*mut H, *mut c_int, *mut Status) -> c_int,
    error_string: unsafe extern "C" fn(c_int, *mut c_char, *mut c_int) -> c_int,
    abort: unsafe extern "C" fn(H, c_int) -> c_int,
    finalize: unsafe extern "C" fn() -> c_int,
    world: H,
    byte: H,
    /// The value of requests before they are made.
    nothing: H,
    thread: ThreadId,
}

// SAFETY: handles are constants of the library, and every use of them checks that it is on the thread that initialised it.
unsafe impl<H> Send for Functions<H> {}

/// The function of a name, as a value of the type that is expected.
macro_rules! function {
    ($library:expr, $name:literal) => {{
        // SAFETY: the type is MPI's declaration of this function, with the handles of the library's ABI.
        let found = unsafe { $library.get(concat!($name, "\0").as_bytes()) };
        *found.map_err(|error| Failed::Call { name: $name, said: error.to_string() })?
    }};
}

impl Opened {
    /// Opens a library by its path, or by a name that the system's loader looks for.
    pub(super) fn new(name: &OsStr) -> Result<Opened, String> {
        let why = |error: &libloading::Error| error.source().map(ToString::to_string);
        let library = open(name).map_err(|error| why(&error).unwrap_or(error.to_string()))?;
        let is_standard = name.to_string_lossy().contains("mpi_abi");
        Ok(Opened { library, is_standard })
    }

    /// The first line of what the library says that it is.
    pub(super) fn version(&self) -> Result<String, Failed> {
        let version: Text = function!(self.library, "MPI_Get_library_version");
        // The standard ABI's limit, the largest of the three.
        let mut text = [0; 8192];
        let mut length = 0;
        // SAFETY: the text is as long as the standard allows, and the call is allowed before initialisation.
        unsafe { version(text.as_mut_ptr(), &mut length) };
        Ok(said(&text).lines().next().unwrap_or_default().to_owned())
    }

    /// The address of a variable of the library, which is a handle of Open MPI.
    fn variable(&self, name: &[u8]) -> Option<*mut c_void> {
        // SAFETY: only the address is taken; nothing is read from it.
        unsafe { self.library.get::<*mut c_void>(name) }.ok().map(|symbol| *symbol)
    }

    /// Joins the other ranks. It waits until all of them have come.
    pub(super) fn connect(self) -> Result<Connected, Failed> {
        let address = |number: usize| ptr::without_provenance_mut::<c_void>(number);
        if self.is_standard {
            return self.with(address(0x101), address(0x247), address(0x143), 1024, address(0));
        }
        let names: [&[u8]; 3] =
            [b"ompi_mpi_comm_world\0", b"ompi_mpi_byte\0", b"ompi_mpi_errors_return\0"];
        if let [Some(world), Some(byte), Some(returns)] = names.map(|name| self.variable(name)) {
            return self.with(world, byte, returns, 1, ptr::null_mut());
        }
        self.with::<c_int>(0x4400_0000, 0x4c00_010d, 0x5400_0001, 1, 0)
    }

    fn with<H: Copy + 'static>(
        self,
        world: H,
        byte: H,
        errors_return: H,
        funneled: c_int,
        nothing: H,
    ) -> Result<Connected, Failed> {
        type Init = unsafe extern "C" fn(*mut c_int, *mut c_void, c_int, *mut c_int) -> c_int;
        type Number<H> = unsafe extern "C" fn(H, *mut c_int) -> c_int;
        // A library stays open for good, since its threads and handlers end with the process.
        let library = ManuallyDrop::new(self.library);
        let functions = Functions {
            isend: function!(library, "MPI_Isend"),
            irecv: function!(library, "MPI_Irecv"),
            test: function!(library, "MPI_Test"),
            error_string: function!(library, "MPI_Error_string"),
            abort: function!(library, "MPI_Abort"),
            finalize: function!(library, "MPI_Finalize"),
            world,
            byte,
            nothing,
            thread: thread::current().id(),
        };
        let init: Init = function!(library, "MPI_Init_thread");
        let set_handler: unsafe extern "C" fn(H, H) -> c_int =
            function!(library, "MPI_Comm_set_errhandler");
        let rank_of: Number<H> = function!(library, "MPI_Comm_rank");
        let size_of: Number<H> = function!(library, "MPI_Comm_size");
        let (mut provided, mut rank, mut size) = (0, 0, 0);
        // SAFETY: null stands for no arguments of the command line; this process has not initialised MPI before, since a library
        // is opened once.
        let done = unsafe { init(ptr::null_mut(), ptr::null_mut(), funneled, &mut provided) };
        functions.check("MPI_Init_thread", done)?;
        // SAFETY: MPI is initialised, the handles are of this library's ABI, and the numbers are ours.
        let (done, ranked, sized) = unsafe {
            (
                set_handler(world, errors_return),
                rank_of(world, &mut rank),
                size_of(world, &mut size),
            )
        };
        functions.check("MPI_Comm_set_errhandler", done)?;
        functions.check("MPI_Comm_rank", ranked)?;
        functions.check("MPI_Comm_size", sized)?;
        if provided < funneled {
            let said = "the library was built for programs of one thread alone".to_owned();
            return Err(Failed::Call { name: "MPI_Init_thread", said });
        }
        Ok(Connected { calls: Box::new(functions), rank: rank as usize, size: size as usize })
    }
}

impl<H: Copy> Functions<H> {
    fn check(&self, name: &'static str, code: c_int) -> Result<(), Failed> {
        if code == SUCCESS {
            return Ok(());
        }
        let (mut text, mut length) = ([0; 512], 0);
        // SAFETY: the text is as long as the longest that an ABI allows.
        unsafe { (self.error_string)(code, text.as_mut_ptr(), &mut length) };
        Err(Failed::Call { name, said: format!("{} (error {code})", said(&text)) })
    }

    fn on_its_thread(&self) -> bool {
        thread::current().id() == self.thread
    }

    /// Whether a request is done.
    fn is_done(&self, request: &mut H) -> Result<bool, Failed> {
        let (mut done, mut status): (c_int, Status) = (0, [0; 8]);
        // SAFETY: the request is one that this library made, or its null request.
        let code = unsafe { (self.test)(request, &mut done, &mut status) };
        self.check("MPI_Test", code).map(|()| done != 0)
    }
}

impl<H: Copy> Calls for Functions<H> {
    fn exchange(
        &self,
        peer: usize,
        send: &[u8],
        receive: Vec<u8>,
        waits: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>, Failed> {
        assert!(self.on_its_thread(), "MPI is called on another thread than it began on");
        // Given back, and so freed, only when no request writes to it any more; leaked on every other way out.
        let mut receive = ManuallyDrop::new(receive);
        let (mut outgoing, mut incoming) = (send.chunks(MOST), receive.chunks_mut(MOST));
        let (peer, tag) = (peer as c_int, 0);
        loop {
            let (sent, received) = (outgoing.next(), incoming.next());
            if sent.is_none() && received.is_none() {
                break;
            }
            let mut requests = [None, None];
            if let Some(bytes) = received {
                let (start, length) = (bytes.as_mut_ptr().cast(), bytes.len() as c_int);
                let request = requests[0].insert(self.nothing);
                // SAFETY: the memory is ours, of this length, and is leaked where the request may not have ended.
                let code = unsafe {
                    (self.irecv)(start, length, self.byte, peer, tag, self.world, request)
                };
                self.check("MPI_Irecv", code)?;
            }
            if let Some(bytes) = sent {
                let (start, length) = (bytes.as_ptr().cast(), bytes.len() as c_int);
                let request = requests[1].insert(self.nothing);
                // SAFETY: the memory lives as long as this call. Where the call fails before the request has ended, the process
                // makes no other call than to abort, so the library only ever reads what was sent in vain.
                let code = unsafe {
                    (self.isend)(start, length, self.byte, peer, tag, self.world, request)
                };
                self.check("MPI_Isend", code)?;
            }
            for request in requests.iter_mut().flatten() {
                while !self.is_done(request)? {
                    if !waits() {
                        return Err(Failed::GaveUp);
                    }
                }
            }
        }
        Ok(ManuallyDrop::into_inner(receive))
    }

    fn abort(&self, code: c_int) {
        if self.on_its_thread() {
            // SAFETY: MPI is initialised and not finalized, since nothing is called after `finalize`.
            unsafe { (self.abort)(self.world, code) };
        }
    }

    fn finalize(&self) -> Result<(), Failed> {
        assert!(self.on_its_thread(), "MPI is finalized on another thread than it began on");
        // SAFETY: MPI is initialised, and all requests have ended.
        let code = unsafe { (self.finalize)() };
        self.check("MPI_Finalize", code)
    }
}

/// Opens a library so that its plugins, which look for its symbols among the global ones, find them.
#[cfg(unix)]
fn open(name: &OsStr) -> Result<Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the initialisers of an MPI library are as trustworthy as the launcher that it belongs to.
    unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }.map(Into::into)
}

#[cfg(not(unix))]
fn open(name: &OsStr) -> Result<Library, libloading::Error> {
    // SAFETY: the initialisers of an MPI library are as trustworthy as the launcher that it belongs to.
    unsafe { Library::new(name) }
}

/// A text that C wrote.
fn said(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|&byte| byte as u8).collect();
    CStr::from_bytes_until_nul(&bytes).map_or(String::new(), |text| text.to_string_lossy().into())
}
